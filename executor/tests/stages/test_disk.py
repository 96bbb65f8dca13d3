"""The disk that a job fills: real files, and real containers that fill it."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from typing_extensions import override

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerSpec, Limits, Mount
from compute_horde_common.containers.labels import OWNER_LABEL
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.transfer.errors import StorageFailed
from compute_horde_common.transfer.tree import JobTree
from executor.stages.disk import MAX_DEPTH, check_floor, space_taken, watch_disk
from tests.stand import IMAGE, OWNER, PATIENCE

MIB = 1 << 20
LIMIT = 8 * MIB
GOING_ON = threading.Event()


class CountingClock(HandWoundClock):
    """One on which every wait is over at once; during one of them, a file grows large."""

    def __init__(self, folder: Path, *, at_wait: int) -> None:
        super().__init__()
        self.waits = 0
        self._folder = folder
        self._at = at_wait

    @override
    async def sleep_until(self, when: datetime) -> None:
        self.waits += 1
        if self.waits == self._at:
            (self._folder / "grown").write_bytes(b"x" * (LIMIT + 1))


@pytest.fixture
def tree(tmp_path: Path) -> JobTree:
    return JobTree.create(tmp_path / "job")


@pytest.fixture
def clock() -> HandWoundClock:
    return HandWoundClock()


@pytest.fixture
async def container(engine: DockerEngine, tree: JobTree) -> AsyncIterator[str]:
    """One that makes room for nobody: it writes what a test tells it to, then stays."""
    spec = ContainerSpec(
        image=IMAGE,
        name=f"disk-{tree.path.parent.name}",
        command=("sh", "-c", "until [ -e /output/go ]; do usleep 10000; done; sh /output/go"),
        limits=Limits(memory_bytes=64 * MIB, cpus=1),
        mounts=(Mount(str(tree.output.path), "/output"),),
        labels={OWNER_LABEL: OWNER},
    )
    made = await engine.create(spec)
    await engine.start(made)
    yield made
    await engine.remove(made)


async def does(engine: DockerEngine, container: str, tree: JobTree, script: str) -> None:
    """Returns once the container has done it."""
    (tree.path / "go").write_text(script)
    (tree.path / "go").rename(tree.output.path / "go")
    async with asyncio.timeout(PATIENCE):
        assert (await engine.wait(container)).code == 0


async def first_look(watching: Coroutine[None, None, None], clock: HandWoundClock) -> None:
    """Lets the time pass after which the disk is looked at, and the look end."""
    task = asyncio.ensure_future(watching)
    await clock.advance(2)
    async with asyncio.timeout(PATIENCE):
        await task


async def verdict(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> JobFailure:
    with pytest.raises(JobFailed) as caught:
        await first_look(watch_disk(engine, container, tree, LIMIT, clock), clock)
    assert isinstance(caught.value.failure, JobFailure)
    return caught.value.failure


async def test_a_job_that_fills_its_folders_is_told_so(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    await does(engine, container, tree, "dd if=/dev/zero of=/output/big bs=1M count=9")

    failure = await verdict(engine, container, tree, clock)

    used = space_taken(tree.path, GOING_ON).size
    assert failure == JobFailure(
        reason=JobFailureReason.NONZERO_RETURN_CODE,
        stage=Stage.EXECUTION,
        message=(
            "The job was killed for exceeding its disk limit:"
            f" it filled {used} bytes of disk, and may fill {LIMIT}"
        ),
        context={"disk_exceeded": True},
        docker_process_exit_status=137,
    )


async def test_a_job_that_fills_the_rest_of_its_container_is_told_so(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    await does(engine, container, tree, "dd if=/dev/zero of=/tmp/big bs=1M count=9")

    failure = await verdict(engine, container, tree, clock)

    assert failure.context == {"disk_exceeded": True}


async def test_what_is_filled_here_and_there_counts_together(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    await does(
        engine,
        container,
        tree,
        "for i in /output /tmp; do dd if=/dev/zero of=$i/big bs=1M count=5; done",
    )

    failure = await verdict(engine, container, tree, clock)

    assert failure.context == {"disk_exceeded": True}


async def test_the_watch_goes_on_while_there_is_room(
    engine: DockerEngine, container: str, tree: JobTree
) -> None:
    clock = CountingClock(tree.output.path, at_wait=3)

    await verdict(engine, container, tree, clock)

    assert clock.waits == 3


class CountingEngine(DockerEngine):
    """One that never comes to the end of a container's files."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = asyncio.Event()

    @override
    async def space_used(self, container_id: str) -> int:
        self.counting.set()
        await asyncio.Event().wait()
        return 0


async def test_a_job_whose_files_cannot_be_counted_is_told_so(
    tree: JobTree, clock: HandWoundClock
) -> None:
    async with CountingEngine() as engine:
        watching = asyncio.ensure_future(watch_disk(engine, "job", tree, LIMIT, clock))
        await clock.advance(2)
        await engine.counting.wait()
        await clock.advance(30)

        with pytest.raises(JobFailed, match="so many files outside its folders"):
            await watching


async def test_a_full_disk_is_the_host_s_fault(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    watching = watch_disk(engine, container, tree, LIMIT, clock, min_free_bytes=1 << 60)

    with pytest.raises(StorageFailed, match="Free some, or lower JOB_DISK_BYTES"):
        await first_look(watching, clock)


def test_a_disk_with_room_is_fine(tmp_path: Path) -> None:
    check_floor(tmp_path)


def test_a_file_with_holes_costs_what_it_holds(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.write(b"x")

    assert space_taken(tmp_path, GOING_ON).size < MIB


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * MIB)
    (tmp_path / "b").hardlink_to(tmp_path / "a")

    taken = space_taken(tmp_path, GOING_ON)

    assert (taken.size, taken.entries) == (MIB, 2)


def test_links_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * MIB)
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "big")
    (inside / "loop").symlink_to(inside)

    taken = space_taken(inside, GOING_ON)

    assert (taken.entries, taken.depth) == (3, 0)
    assert taken.size < MIB


def test_pipes_and_sockets_are_counted_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert space_taken(tmp_path, GOING_ON).entries == 1


def test_too_many_entries_are_not_counted_to_the_end(tmp_path: Path) -> None:
    for name in range(20):
        (tmp_path / str(name)).touch()

    taken = space_taken(tmp_path, GOING_ON, most_entries=10)

    assert taken.entries == 11
    assert taken.excess() == "made more than the 10 files and folders it may have"


def test_folders_that_are_too_deep_are_not_entered(tmp_path: Path) -> None:
    nest(tmp_path, MAX_DEPTH + 50)

    taken = space_taken(tmp_path, GOING_ON)

    assert taken.depth == MAX_DEPTH + 1


def nest(folder: Path, levels: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


async def test_a_job_that_nests_its_folders_too_deep_is_told_so(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    nest(tree.output.path, MAX_DEPTH + 1)

    failure = await verdict(engine, container, tree, clock)

    assert failure.message.endswith(f"it nested its folders more than {MAX_DEPTH} deep")


def test_looking_ends_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    stop = threading.Event()
    stop.set()

    assert space_taken(tmp_path, stop).entries == 0


async def test_a_watch_ends_with_its_job(
    engine: DockerEngine, container: str, tree: JobTree, clock: HandWoundClock
) -> None:
    watching = asyncio.ensure_future(watch_disk(engine, container, tree, LIMIT, clock))
    await clock.advance(2)

    watching.cancel()

    with suppress(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await watching
    assert watching.cancelled()
