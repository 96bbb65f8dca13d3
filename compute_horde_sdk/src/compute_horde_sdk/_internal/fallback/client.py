"""The client for jobs on rented machines."""

import asyncio
import contextlib
import importlib
import shutil
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_sdk._internal.attempts import (
    DEFAULT_ATTEMPTS,
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    Attempts,
    JobAttemptCallback,
)
from compute_horde_sdk._internal.errors import (
    ComputeHordeCancelError,
    ComputeHordeJobTimeoutError,
    ComputeHordeNoPushError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.events import ComputeHordeJobEvent
from compute_horde_sdk._internal.fallback.cloud import Cloud, MachineOrder, MachineState, Phase
from compute_horde_sdk._internal.fallback.exceptions import (
    FallbackError,
    FallbackJobTimeoutError,
    FallbackMissingError,
)
from compute_horde_sdk._internal.fallback.job import FallbackJob, FallbackJobResult
from compute_horde_sdk._internal.fallback.program import checked, order_of, write_program
from compute_horde_sdk._internal.fallback.records import Record, Records
from compute_horde_sdk._internal.fallback.registry import ImageConfig, image_config
from compute_horde_sdk._internal.fallback.spec import FallbackJobSpec
from compute_horde_sdk._internal.fallback.transcript import read
from compute_horde_sdk._internal.fallback.tunnel import LOCALHOST, Tunnel
from compute_horde_sdk._internal.fallback.views import body_of
from compute_horde_sdk._internal.results import ComputeHordeLogPage
from compute_horde_sdk._internal.spec import ComputeHordeJobSpec

IDLE_MINUTES = 15
LOOK_SECONDS = 3.0
PIECES = 256
LAUNCH_TIME = timedelta(minutes=2)
_ENDED = {Phase.REFUSED, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.GONE}


class FallbackClient:
    """Runs jobs on a cloud that SkyPilot knows, for when the network is not there.

    It has the calls of `ComputeHordeClient`, as far as they make sense. Jobs go on without it, and
    another client on this machine finds them. Use it with ``with`` or ``async with``, which closes
    its tunnels.

    Args:
        cloud: ``runpod``, ``aws``, ``gcp``, ``kubernetes``, or any other name that SkyPilot knows.
        idle_minutes: how long a machine is kept when its job has ended.
        api_key: of RunPod; other clouds are set up as SkyPilot describes.
        look_seconds: how often the cloud is asked about a job, at most.
        state_dir: where jobs are noted; by default ``~/.local/state/compute-horde/fallback``.
        backend: what rents machines, in place of SkyPilot.
        clock: what the time is; for tests.

    Raises:
        FallbackMissingError: SkyPilot is not installed.
        FallbackError: there is no such cloud.
    """

    DEFAULT_MAX_JOB_RUN_ATTEMPTS = DEFAULT_ATTEMPTS
    HTTP_RETRY_MIN_WAIT_SECONDS = FIRST_RETRY_SECONDS
    HTTP_RETRY_MAX_WAIT_SECONDS = LONGEST_RETRY_SECONDS
    MAX_ARTIFACT_SIZE = 1_000_000

    def __init__(
        self,
        cloud: str,
        idle_minutes: int = IDLE_MINUTES,
        *,
        api_key: str | None = None,
        look_seconds: float = LOOK_SECONDS,
        state_dir: Path | None = None,
        backend: Cloud | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        # To SkyPilot, a negative number means: never.
        if not _is_count(idle_minutes):
            raise ComputeHordeValidationError(
                "idle_minutes", "must be a whole number of minutes, 0 or more"
            )
        self.idle_minutes = idle_minutes
        self._look_seconds = look_seconds
        self._cloud = backend if backend is not None else _skypilot(cloud, api_key)
        self.cloud = self._cloud.name
        self._records = Records(state_dir)
        self._tunnels: dict[str, Tunnel] = {}
        self._next_look: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Closes the tunnels. Jobs go on."""
        while self._tunnels:
            self._tunnels.popitem()[1].close()

    async def create_job(self, job_spec: FallbackJobSpec | ComputeHordeJobSpec) -> FallbackJob:
        """Begins to start a machine for a job; returns without waiting for it.

        Raises:
            ComputeHordeValidationError: the spec cannot work; nothing was rented.
            FallbackError: the image's command cannot be found out, or the cloud refuses.
        """
        spec = job_spec
        if isinstance(spec, ComputeHordeJobSpec):
            spec = FallbackJobSpec.from_job_spec(spec)
        job = checked(spec)
        name = str(uuid.uuid4())
        record = Record(
            uuid=name,
            cloud=self.cloud,
            machine=f"ch-{name}",
            created_at=self.clock.now(),
            image=spec.image,
            streaming=spec.streaming,
        )
        image = await _image_of(spec)
        folder, command = self._written(name, spec, job, image)
        order = order_of(record.machine, spec, folder, command)
        # Noted first, so that no machine runs that nobody knows of.
        self._records.save(record)
        try:
            await asyncio.to_thread(self._launch, record, order)
        except FallbackError as error:
            record.ended, record.phase, record.reason = True, Phase.REFUSED, str(error)
            self._tidy(record)
            raise
        return self._job(record)

    async def run_until_complete(
        self,
        job_spec: FallbackJobSpec | ComputeHordeJobSpec,
        job_attempt_callback: JobAttemptCallback | None = None,
        timeout: float | None = None,
        max_attempts: int = DEFAULT_ATTEMPTS,
    ) -> FallbackJob:
        """Runs a job and waits for its end; again where that may help, as
        `ComputeHordeClient.run_until_complete`.

        Raises:
            FallbackJobTimeoutError: the time is over before an attempt has ended.
            FallbackError: as `create_job`.
        """
        jobs: list[FallbackJob] = []

        async def create() -> FallbackJob:
            jobs.append(await self.create_job(job_spec))
            return jobs[-1]

        attempts = Attempts(create, self.clock, timeout)
        try:
            await attempts.run(max_attempts, job_attempt_callback, None)
        except ComputeHordeJobTimeoutError as error:
            raise FallbackJobTimeoutError(str(error), job_uuid=error.job_uuid) from error
        return jobs[-1]

    async def get_job(self, job_uuid: str) -> FallbackJob:
        """One of the jobs that were started from this machine, as it is now.

        Raises:
            FallbackNotFoundError: there is no such job.
            FallbackError: the cloud cannot be asked.
        """
        return self._job(await self._seen(job_uuid))

    async def get_jobs(self) -> list[FallbackJob]:
        """All jobs that were started from this machine, newest first, as they were last seen."""
        return [job async for job in self.iter_jobs()]

    async def iter_jobs(self) -> AsyncIterator[FallbackJob]:
        """The same, one by one."""
        for record in self._records.all():
            yield self._job(record)

    async def cancel_job(self, job_uuid: str) -> FallbackJob:
        """Ends a job and its machine.

        Raises:
            ComputeHordeCancelError: it has ended by itself.
            FallbackNotFoundError: there is no such job.
            FallbackError: the cloud does not end it.
        """
        record = self._records.load(str(job_uuid))
        if not record.ended:
            # What it has written is gone with the machine.
            with contextlib.suppress(FallbackError):
                await self._look(record)
        if read(record.log).has_ended:
            raise ComputeHordeCancelError(f"job {record.uuid} cannot be cancelled: it has ended")
        if not record.ended:
            await asyncio.to_thread(self._cloud.end, record.machine, record.ticket)
            record.ended, record.phase = True, Phase.CANCELLED
            self._tidy(record)
        return self._job(record)

    async def get_log_page(self, job_uuid: str, offset: int = 0) -> ComputeHordeLogPage:
        """Some of what a job wrote, from the piece with a number on.

        Raises:
            FallbackNotFoundError: there is no such job.
            FallbackError: the cloud cannot be asked.
        """
        record = await self._seen(job_uuid)
        pieces = read(record.log).pieces[offset : offset + PIECES]
        return ComputeHordeLogPage(pieces, offset + len(pieces), record.ended)

    async def events(
        self, job_uuid: str, *, logs: bool = True
    ) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """Clouds tell nothing by themselves.

        Raises:
            ComputeHordeNoPushError: always.
        """
        if job_uuid or logs:
            raise ComputeHordeNoPushError("clouds are asked")
        yield  # type: ignore[misc]  # makes it a generator

    async def get_job_streaming_port(self, job_uuid: str) -> int | None:
        """The port of this machine that leads to a streaming job; ``None`` without a tunnel."""
        tunnel = self._tunnels.get(str(job_uuid))
        return tunnel.local_port if tunnel and tunnel.is_open else None

    async def create_ssh_tunnel(self, job_uuid: str, local_port: int) -> None:
        """Makes a port of this machine lead to a streaming job.

        Raises:
            FallbackError: that failed.
        """
        record = self._records.load(str(job_uuid))
        address = await asyncio.to_thread(self._cloud.ssh_address, record.machine)
        tunnel = Tunnel(address, local_port, self._records.folder / "known_hosts")
        await tunnel.opened(self.clock)
        if old := self._tunnels.pop(record.uuid, None):
            old.close()
        self._tunnels[record.uuid] = tunnel

    async def open_tunnel(self, job_uuid: str) -> int:
        """As `get_job_streaming_port`; without a tunnel, `create_ssh_tunnel` makes one."""
        port = await self.get_job_streaming_port(job_uuid)
        if port is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = int(free.getsockname()[1])
            await self.create_ssh_tunnel(job_uuid, port)
        return port

    def _written(
        self, name: str, spec: FallbackJobSpec, job: JobSpec, image: ImageConfig | None
    ) -> tuple[Path, str]:
        """The folder that a job's machine needs, and the command to run there."""
        self._records.prepare()
        folder = self._records.program(name)
        try:
            return folder, write_program(folder, spec, job, image)
        except (OSError, FallbackError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, FallbackError):
                raise
            raise FallbackError(f"{folder} cannot be written: {error}") from error

    def _launch(self, record: Record, order: MachineOrder) -> None:
        """In a thread, which goes on if its caller gives up: then, too, the ticket is noted."""
        record.ticket = self._cloud.launch(order, self.idle_minutes)
        self._records.save(record)

    async def _seen(self, job_uuid: str) -> Record:
        record = self._records.load(str(job_uuid))
        if not record.ended:
            await self._pace(record.uuid)
            await self._look(record)
        return record

    async def _pace(self, job_uuid: str) -> None:
        """Waits until the cloud may be asked about a job again."""
        now = self.clock.now()
        wait = self._next_look.get(job_uuid, 0.0) - now.timestamp()
        self._next_look[job_uuid] = now.timestamp() + max(wait, 0.0) + self._look_seconds
        if wait > 0:
            await self.clock.sleep_until(now + timedelta(seconds=wait))

    async def _look(self, record: Record) -> None:
        try:
            state, log = await asyncio.to_thread(self._asked, record)
        except FallbackError:
            if self._is_known_to_have_ended(record):
                return
            raise
        if self._is_known_to_have_ended(record) or self._may_still_come(record, state):
            return
        record.log, record.phase, record.reason = log, state.phase, state.reason
        if state.phase in {Phase.REFUSED, Phase.GONE}:
            record.reason += await self._given_back(record)
        record.ended = state.phase in _ENDED or read(record.log).has_ended
        if record.ended or state.phase is Phase.STARTED:
            self._tidy(record)
        self._records.save(record)

    def _asked(self, record: Record) -> tuple[MachineState, str]:
        state = self._cloud.state(record.machine, record.ticket)
        is_silent = state.phase in {Phase.LAUNCHING, Phase.REFUSED, Phase.GONE}
        return state, record.log if is_silent else self._cloud.log(record.machine)

    def _is_known_to_have_ended(self, record: Record) -> bool:
        """Whether somebody ended it while the cloud was asked; that counts."""
        known = self._records.load(record.uuid)
        if known.ended:
            vars(record).update(vars(known))
        return known.ended

    def _may_still_come(self, record: Record, state: MachineState) -> bool:
        """Whether its machine may be on the way, though the cloud does not know of it."""
        is_unknown = state.phase is Phase.GONE and not record.ticket
        return is_unknown and self.clock.now() - record.created_at < LAUNCH_TIME

    async def _given_back(self, record: Record) -> str:
        """Ends a machine that came, but could not begin the job: it would not end by itself."""
        try:
            await asyncio.to_thread(self._cloud.end, record.machine, record.ticket)
        except FallbackError as error:
            return f"; look at `sky status`, its machine could not be ended: {error}"
        return ""

    def _tidy(self, record: Record) -> None:
        shutil.rmtree(self._records.program(record.uuid), ignore_errors=True)
        self._records.save(record)

    def _job(self, record: Record) -> FallbackJob:
        body = body_of(record)
        result = body.result()
        tunnel = self._tunnels.get(record.uuid)
        return FallbackJob(
            self,
            record.uuid,
            result=result and FallbackJobResult(**vars(result)),
            streaming_server_address=LOCALHOST if tunnel else None,
            streaming_server_port=tunnel.local_port if tunnel else None,
            status_history=body.history(),
            facts=body.facts(),
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


async def _image_of(spec: FallbackJobSpec) -> ImageConfig | None:
    return None if spec.run is not None or spec.image is None else await image_config(spec.image)


def _skypilot(cloud: str, api_key: str | None) -> Cloud:
    try:
        module = importlib.import_module("compute_horde_sdk._internal.fallback.skypilot")
    except ModuleNotFoundError as error:
        raise FallbackMissingError(
            "SkyPilot is not installed; run: pip install 'compute-horde-sdk[fallback]'"
        ) from error
    options = {} if api_key is None else {"api_key": api_key}
    rented: Cloud = module.SkyPilot(cloud, **options)
    return rented
