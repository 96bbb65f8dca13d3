"""`LocalClient` and `LocalSyncClient`: the same clients, for jobs on this machine."""

import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx
from typing_extensions import TypedDict, override

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.protocol.signatures import SIGNATURE_BYTES
from compute_horde_sdk._internal.client import ComputeHordeClient
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError
from compute_horde_sdk._internal.hotkey import SigningKey
from compute_horde_sdk._internal.sync.client import ComputeHordeSyncClient

MAX_PARALLEL: Final = 4
LONGEST_START_SECONDS: Final = 120.0

_NETWORK = "compute_horde_sdk._internal.local.network"
_NOBODY = "local"
_RESERVED = (
    "DOCKER_HOST",
    "EXECUTOR_CLASS",
    "EXECUTOR_TOKEN",
    "EXECUTOR_WORK_DIR",
    "MINER_ADDRESS",
)


class LocalClient(ComputeHordeClient):
    """Runs jobs in the Docker of this machine, each in the stages and in the sandbox of an executor
    of the network.

    It has the calls of `ComputeHordeClient`. Jobs end with it: use it as
    ``async with LocalClient() as client``. A job whose client is killed is cleared up as well.

    Needs Linux, Python 3.11, Docker, and ``pip install 'compute-horde-sdk[local]'``.

    Args:
        work_dir: folder for the files of running jobs, also a path on Docker's host; by default the
            folder for temporary files.
        gpu: whether jobs of classes with a GPU get those of this machine; ``None``: if it has any.
        docker_host: where Docker is, e.g. ``unix:///run/user/1000/docker.sock``; by default what
            ``DOCKER_HOST`` says, else ``unix:///var/run/docker.sock``.
        executor_environment: settings of executors, e.g. ``{"JOB_RUNTIME": "runsc"}``;
            ``python -m executor --help`` lists them.
        max_parallel: how many jobs run at once; more wait for their turn.
        clock: what the time is; for tests.

    Raises:
        ComputeHordeValidationError: an argument cannot be used.
        ComputeHordeError: no job can run here.
    """

    def __init__(
        self,
        *,
        work_dir: str | Path | None = None,
        gpu: bool | None = None,
        docker_host: str | None = None,
        executor_environment: Mapping[str, str] | None = None,
        max_parallel: int = MAX_PARALLEL,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            **_options(work_dir, gpu, docker_host, executor_environment, max_parallel, clock)
        )

    @override
    async def report_cheated_job(
        self, job_uuid: str, trusted_job_uuid: str, *, details: object = None
    ) -> NoReturn:
        """Local jobs have no miner.

        Raises:
            ComputeHordeError: always.
        """
        raise _no_miner(job_uuid)


class LocalSyncClient(ComputeHordeSyncClient):
    """`LocalClient` for programs without an event loop, with the calls of `ComputeHordeSyncClient`.

    Use it as ``with LocalSyncClient() as client``. Its arguments are those of `LocalClient`.
    """

    def __init__(
        self,
        *,
        work_dir: str | Path | None = None,
        gpu: bool | None = None,
        docker_host: str | None = None,
        executor_environment: Mapping[str, str] | None = None,
        max_parallel: int = MAX_PARALLEL,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            **_options(work_dir, gpu, docker_host, executor_environment, max_parallel, clock)
        )

    @override
    def report_cheated_job(
        self, job_uuid: str, trusted_job_uuid: str, *, details: object = None
    ) -> NoReturn:
        """As `LocalClient.report_cheated_job`."""
        raise _no_miner(job_uuid)


class _Options(TypedDict):
    hotkey: SigningKey
    compute_horde_validator_hotkey: str
    facilitator_url: str
    request_timeout: float
    clock: Clock
    transport: httpx.AsyncBaseTransport


class _Nobody:
    """A hotkey where none is needed."""

    ss58_address = _NOBODY

    def sign(self, data: bytes, /) -> bytes:  # noqa: ARG002 - nobody checks
        return bytes(SIGNATURE_BYTES)


def _options(
    work_dir: str | Path | None,
    gpu: bool | None,
    docker_host: str | None,
    settings: Mapping[str, str] | None,
    max_parallel: int,
    clock: Clock | None,
) -> _Options:
    """What the network's client needs to be told, to run its jobs here."""
    _check_installation()
    _check_number(max_parallel)
    settings = _checked(settings or {})
    clock = clock or SystemClock()
    network: Any = importlib.import_module(_NETWORK)
    machine = network.Machine(_folder(work_dir), gpu, _address(docker_host), settings)
    return _Options(
        hotkey=_Nobody(),
        compute_horde_validator_hotkey=_NOBODY,
        facilitator_url="http://localhost",
        request_timeout=LONGEST_START_SECONDS,
        clock=clock,
        transport=network.LocalNetwork(machine, max_parallel, clock),
    )


def _no_miner(job_uuid: str) -> ComputeHordeError:
    return ComputeHordeError(f"job {job_uuid} ran on this machine: there is no miner to report")


def _check_installation() -> None:
    """Raises ``ComputeHordeError`` where no executor can be started."""
    if sys.version_info < (3, 11):
        raise ComputeHordeError("LocalClient needs Python 3.11 or later")
    if not sys.platform.startswith("linux"):
        raise ComputeHordeError("LocalClient needs Linux; on Windows, use WSL 2")
    try:
        # By its distribution: the user may have a module of his own that is called executor.
        importlib.metadata.distribution("compute-horde-executor")
    except importlib.metadata.PackageNotFoundError:
        raise ComputeHordeError(
            "LocalClient needs the executor: pip install 'compute-horde-sdk[local]'"
        ) from None


def _checked(settings: object) -> dict[str, str]:
    if not isinstance(settings, Mapping):
        raise ComputeHordeValidationError("executor_environment", "must be a mapping of str to str")
    for name, value in settings.items():
        if name in _RESERVED or not isinstance(value, str):
            raise ComputeHordeValidationError(
                f"executor_environment[{name!r:.100}]",
                "is set by LocalClient itself" if name in _RESERVED else "must be a str",
            )
    return dict(settings)


def _check_number(max_parallel: object) -> None:
    if not isinstance(max_parallel, int) or max_parallel < 1:
        raise ComputeHordeValidationError("max_parallel", "must be a whole number, 1 or more")


def _address(docker_host: str | None) -> str:
    address = docker_host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not address.startswith(("unix:///", "tcp://")):
        raise ComputeHordeValidationError(
            "docker_host", f"is {address[:100]!r}; expected unix:///path or tcp://host:port"
        )
    return address


def _folder(work_dir: str | Path | None) -> Path:
    folder = Path(work_dir or tempfile.gettempdir()).absolute()
    if not folder.is_dir():
        raise ComputeHordeValidationError("work_dir", f"{folder} is no folder; create it first")
    return folder
