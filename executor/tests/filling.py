"""A job's tree in a folder of its own, to be filled; and the fixtures for it."""

import asyncio
import base64
import io
import json
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipInfo

import pytest
import stamina

from compute_horde_common.clock import SystemClock
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.volumes import (
    InlineVolume,
    SimpleVolume,
    SingleFileVolume,
    ZipUrlVolume,
)
from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.tree import JobTree
from executor import wiring
from executor.config import ExecutorConfig
from executor.stages.inputs import fill_volume
from executor.stages.volumes import InputRecord
from tests.servers import Site

CONFIG = ExecutorConfig(
    miner_address="ws://unused", token="t", owner="o", allow_private_addresses=True
)


class Filling:
    """One job after another in ``top``, where nothing else may appear."""

    def __init__(self, top: Path, config: ExecutorConfig = CONFIG) -> None:
        top.mkdir()
        self.top = top
        self.config = config
        self.tree = JobTree.create(top / "job")
        self.connect: Callable[[ExecutorConfig], Fetcher] = wiring.fetcher

    def configure(self, **changes: object) -> None:
        self.config = replace(self.config, **changes)  # type: ignore[arg-type]  # any of its fields

    async def fill(self, *volumes: SimpleVolume, seconds: float = 30) -> list[InputRecord]:
        """What came in; the job's own records must say the same."""
        clock = SystemClock()
        records = await fill_volume(
            volumes,
            self.tree,
            self.config,
            deadline=Deadline.starting(clock.now(), seconds),
            clock=clock,
            connect=self.connect,
        )
        told = json.loads((self.tree.specs.path / "inputs.json").read_text())
        assert [InputRecord(**record) for record in told] == records
        assert list(self.tree.scratch.walk()) == []
        return records

    async def refusal(self, *volumes: SimpleVolume, seconds: float = 30) -> JobFailure:
        """How it failed; nothing may be outside the job's folders."""
        with pytest.raises(JobFailed) as failed:
            await self.fill(*volumes, seconds=seconds)
        assert [path.name for path in self.top.iterdir()] == ["job"]
        assert isinstance(failed.value.failure, JobFailure)
        return failed.value.failure

    async def next_job(self) -> None:
        """The job is over; another one comes."""
        self.tree.remove()
        self.tree = JobTree.create(self.top / "job")

    def found(self) -> dict[str, bytes]:
        """All files of /volume."""
        volume = self.tree.volume
        return {
            entry.path: (volume.path / entry.path).read_bytes()
            for entry in volume.iter_regular_files()
        }


def refused(message: str) -> JobFailure:
    """The whole failure of a download that says this."""
    return JobFailure(
        reason=JobFailureReason.DOWNLOAD_FAILED, stage=Stage.VOLUME_DOWNLOAD, message=message
    )


LATE = JobFailure(
    reason=JobFailureReason.TIMEOUT,
    stage=Stage.VOLUME_DOWNLOAD,
    message="The inputs were not there in time",
)


def zipped(*files: tuple[str | ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(name, content)
    return made.getvalue()


def inline(data: bytes, path: str | None = None) -> InlineVolume:
    return InlineVolume(contents=base64.b64encode(data).decode(), relative_path=path)


def single(url: str, path: str = "f") -> SingleFileVolume:
    return SingleFileVolume(url=url, relative_path=path)


def archive_at(url: str, path: str | None = None) -> ZipUrlVolume:
    return ZipUrlVolume(contents=url, relative_path=path)


@pytest.fixture
def filling(tmp_path: Path) -> Filling:
    return Filling(tmp_path / "top")


async def _served() -> AsyncIterator[Site]:
    site = Site()
    async with await asyncio.start_server(site.serve, "127.0.0.1", 0) as server:
        site.port = server.sockets[0].getsockname()[1]
        yield site


site = pytest.fixture(_served, name="site")
other_site = pytest.fixture(_served, name="other_site")


@pytest.fixture(autouse=True)
def no_waits_between_tries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3, cap=True):
        yield
