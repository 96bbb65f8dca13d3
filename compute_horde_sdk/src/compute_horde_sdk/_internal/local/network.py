"""Answers the requests of a `ComputeHordeClient` in the process itself: the facilitator's API, for
jobs on this machine."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from typing_extensions import override

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import (
    MAX_FRAME_TO_VALIDATOR,
    JobRequest,
)
from compute_horde_common.protocol.rest import JobCreate, JobPage, Nonce, Token
from compute_horde_common.protocol.signatures import Signature
from compute_horde_sdk._internal.errors import ComputeHordeError
from compute_horde_sdk._internal.local.executor import ExecutorUnusable, Machine
from compute_horde_sdk._internal.local.job import LocalJob
from compute_horde_sdk._internal.local.leftovers import sweep
from compute_horde_sdk._internal.local.run import Run

API_PATH: Final = "/api/v1"
PAGE_SIZE: Final = 10
LOG_PIECES: Final = 256
HEARTBEAT_SECONDS: Final = 15.0

_SIGNATURE: Final = Signature(
    signature_type="sr25519", signatory="5" * 48, timestamp_ns=0, signature=128 * "0"
)


class LocalNetwork(httpx.AsyncBaseTransport):
    """Runs jobs on this machine.

    Args:
        machine: how executors run here.
        max_parallel: how many jobs run at once; more wait for their turn.
        clock: the time.
    """

    def __init__(self, machine: Machine, max_parallel: int, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._room = asyncio.Semaphore(max_parallel)
        self._runs: dict[str, Run] = {}
        self._has_swept = False

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        match request.method, request.url.path.removeprefix(API_PATH).strip("/").split("/"):
            case "GET", ["auth", "nonce"]:
                return _answer(Nonce(nonce="local"))
            case "POST", ["auth", "login"]:
                return _answer(Token(token="local"))  # noqa: S106 - nobody is kept out
            case "POST", ["job-docker"]:
                return await self._create(await request.aread())
            case "GET", ["jobs"]:
                return self._list(request.url.params)
            case _, ["jobs", name, *what] if name in self._runs:
                return self._about(self._runs[name], request, what)
            case _:
                return _refusal(HTTPStatus.NOT_FOUND, "There is no such job of this client.")

    @override
    async def aclose(self) -> None:
        """Ends all jobs; returns once nothing of them is left."""
        await asyncio.gather(*(run.stop() for run in self._runs.values()))

    async def _create(self, body: bytes) -> httpx.Response:
        try:
            asked = JobCreate.model_validate_json(body)
        except ValidationError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, str(error))
        name = str(uuid.uuid4())
        if (size := _size(name, asked)) > MAX_FRAME_TO_VALIDATOR:
            told = f"The job has {size} bytes, and the network takes {MAX_FRAME_TO_VALIDATOR}."
            return _refusal(HTTPStatus.BAD_REQUEST, f"{told} Put inline volumes behind a URL.")
        await self._sweep()
        job = LocalJob(name, asked, self._clock)
        run = self._runs[name] = Run(job, self._machine, self._room, self._clock)
        try:
            await asyncio.shield(run.taken)
        except ExecutorUnusable as unusable:
            del self._runs[name]
            raise ComputeHordeError(str(unusable)) from None
        except asyncio.CancelledError:
            await run.stop()
            raise
        return _answer(job.view(), HTTPStatus.CREATED)

    async def _sweep(self) -> None:
        """Removes what an earlier client has left, once."""
        if not self._has_swept:
            self._has_swept = True
            await sweep(self._machine.docker_host, self._machine.work_dir)

    def _list(self, asked: httpx.QueryParams) -> httpx.Response:
        wanted = asked.get_list("status")
        jobs = [run.job for run in reversed(self._runs.values())]
        found = [job for job in jobs if not wanted or job.status.value in wanted]
        page, size = int(asked.get("page", 1)), int(asked.get("page_size", 0))
        size = size if size > 0 else PAGE_SIZE
        shown = found[(page - 1) * size : page * size] if page > 0 else []
        if not shown and page != 1:
            return _refusal(HTTPStatus.NOT_FOUND, "There is no such page.")
        following = f"?page={page + 1}" if page * size < len(found) else None
        views = [job.view() for job in shown]
        return _answer(JobPage(count=len(found), next=following, results=views))

    def _about(self, run: Run, request: httpx.Request, what: list[str]) -> httpx.Response:
        match request.method, what:
            case "GET", []:
                return _answer(run.job.view())
            case "POST", ["cancel"]:
                return _cancelled(run)
            case "GET", ["logs"]:
                asked = request.url.params
                offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", LOG_PIECES))
                return _answer(run.job.page(offset, limit))
            case "GET", ["events"]:
                return _stream(JobEvents(run.job, request, self._clock))
            case _:
                return _refusal(HTTPStatus.NOT_FOUND, "There is no such thing of a job.")


class JobEvents(httpx.AsyncByteStream):
    """Server-sent events of a job, until it has ended."""

    def __init__(self, job: LocalJob, request: httpx.Request, clock: Clock) -> None:
        self._job = job
        self._known = int(request.headers.get("Last-Event-ID") or 0)
        self._logs = request.url.params.get("logs") != "false"
        self._clock = clock

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        while True:
            while self._known < len(self._job.told):
                kind, data = self._job.told[self._known]
                self._known += 1
                if kind != "log" or self._logs:
                    head = f"id: {self._known}\nevent: {kind}\ndata: "
                    yield head.encode() + to_json(data) + b"\n\n"
            if self._job.status.is_end:
                return
            with suppress(TimeoutError):
                async with self._clock.timeout(HEARTBEAT_SECONDS):
                    await self._job.changed.wait()
                    continue
            yield b": still here\n\n"


def _size(name: str, asked: JobCreate) -> int:
    """How long a job is on its way to a validator, in bytes."""
    return len(encode(JobRequest.of(name, asked.spec(), _SIGNATURE, asked.job_namespace)).encode())


def _cancelled(run: Run) -> httpx.Response:
    job = run.job
    if job.status.is_end and not job.was_cancelled:
        told = f"The job has ended as {job.status}, so it cannot be cancelled."
        return _refusal(HTTPStatus.CONFLICT, told)
    if not job.status.is_end:
        run.cancel()
    return _answer(job.view(), HTTPStatus.OK if job.status.is_end else HTTPStatus.ACCEPTED)


def _answer(body: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return httpx.Response(status, headers=headers, content=body.model_dump_json())


def _stream(events: JobEvents) -> httpx.Response:
    headers = {"Content-Type": "text/event-stream"}
    return httpx.Response(HTTPStatus.OK, headers=headers, stream=events)


def _refusal(status: HTTPStatus, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"detail": detail})
