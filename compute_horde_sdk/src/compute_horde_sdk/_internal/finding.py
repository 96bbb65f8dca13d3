"""Finding jobs again, and what they do."""

import contextlib
import importlib
import re
import uuid
from collections.abc import AsyncGenerator
from os import PathLike
from typing import TYPE_CHECKING

import httpx

from compute_horde_common.clock import Clock
from compute_horde_sdk._internal.answers import JobBody, LogBody, PageBody, parsed
from compute_horde_sdk._internal.counting import LARGEST_OFFSET, whole_number
from compute_horde_sdk._internal.errors import (
    SHOWN_BODY_CHARACTERS,
    ComputeHordeAPIError,
    ComputeHordeCancelError,
    ComputeHordeNoPushError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.events import ComputeHordeJobEvent
from compute_horde_sdk._internal.http import IDEMPOTENCY_KEY, Facilitator
from compute_horde_sdk._internal.job import ComputeHordeJob
from compute_horde_sdk._internal.listing import listed
from compute_horde_sdk._internal.results import ComputeHordeLogPage
from compute_horde_sdk._internal.statuses import Statuses, WantedStatus

if TYPE_CHECKING:
    from compute_horde_sdk._internal.certificates import StreamingKey
    from compute_horde_sdk._internal.push import Push

PAGE_SIZE = 10

_JOB_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")


class JobFinder:
    """The part of a client that is about jobs that exist."""

    def __init__(self, facilitator: Facilitator, clock: Clock, *, push: bool) -> None:
        self.clock = clock
        self._facilitator = facilitator
        self._wants_push = push
        self._push: Push | None = None

    async def get_job(
        self,
        job_uuid: str,
        streaming_key: "StreamingKey | str | bytes | PathLike[str] | None" = None,
    ) -> ComputeHordeJob:
        """One of this hotkey's jobs.

        Args:
            job_uuid: which.
            streaming_key: the key that a streaming job was created with, to talk to it again: as of
                `ComputeHordeJob.attach_streaming_key`.

        Raises:
            ComputeHordeNotFoundError: it has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        name = job_name("job_uuid", job_uuid)
        job = self._job(parsed(JobBody, await self._facilitator.get(f"/jobs/{name}/")))
        if streaming_key is not None:
            job.attach_streaming_key(streaming_key)
        return job

    async def cancel_job(self, job_uuid: str) -> ComputeHordeJob:
        """Asks for the end of one of this hotkey's jobs; returns it as it is now.

        It ends a moment later, as `ComputeHordeJob.cancel` tells.

        Raises:
            ComputeHordeCancelError: it cannot be cancelled.
            ComputeHordeNotFoundError: this hotkey has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        name = job_name("job_uuid", job_uuid)
        headers = {IDEMPOTENCY_KEY: str(uuid.uuid4())}
        try:
            response = await self._facilitator.post(f"/jobs/{name}/cancel/", b"{}", headers)
        except ComputeHordeAPIError as error:
            if error.status_code != httpx.codes.CONFLICT:
                raise
            raise ComputeHordeCancelError(
                f"job {name} cannot be cancelled: {error.detail[:SHOWN_BODY_CHARACTERS]}",
                status_code=error.status_code,
                body=error.body,
            ) from error
        return self._job(parsed(JobBody, response))

    async def get_log_page(self, job_uuid: str, offset: int = 0) -> ComputeHordeLogPage:
        """Some of what one of this hotkey's jobs wrote, from the piece with a number on.

        Raises:
            ComputeHordeNotFoundError: this hotkey has no such job.
            ComputeHordeError: the facilitator cannot be asked.
        """
        path = f"/jobs/{job_name('job_uuid', job_uuid)}/logs/"
        first = whole_number("offset", offset, least=0, most=LARGEST_OFFSET)
        answer = await self._facilitator.get(path, {"offset": first})
        return parsed(LogBody, answer).value()

    async def events(
        self, job_uuid: str, *, logs: bool = True
    ) -> AsyncGenerator[ComputeHordeJobEvent, None]:
        """What the facilitator pushes of one of this hotkey's jobs, until that has ended.

        `ComputeHordeJob.events` is the same, and asks where nothing is pushed.

        Args:
            job_uuid: the job.
            logs: whether to tell what it writes, too; what comes all the same is overlooked.

        Raises:
            ComputeHordeNoPushError: nothing is pushed (any more).
            ComputeHordeError: the facilitator does not let this hotkey in.
        """
        name = job_name("job_uuid", job_uuid)
        if not self._wants_push:
            raise ComputeHordeNoPushError("this client was made with push=False")
        if self._push is None:
            push = importlib.import_module("compute_horde_sdk._internal.push")
            self._push = push.Push(self._facilitator, self.clock)
        async with contextlib.aclosing(self._push.events(name, logs=logs)) as events:
            async for event in events:
                yield event

    async def get_jobs(
        self, page: int = 1, page_size: int = PAGE_SIZE, *, status: WantedStatus = None
    ) -> list[ComputeHordeJob]:
        """One page of this hotkey's jobs, each in full.

        Args:
            page: number of the page, from 1.
            page_size: how many jobs a page has.
            status: only jobs with this status, or one of these, as members or as text.

        Raises:
            ComputeHordeValidationError: there is no such status.
            ComputeHordeNotFoundError: there is no such page.
            ComputeHordeError: the facilitator cannot be asked.
        """
        wanted = Statuses(status)
        found = await self._page(page, page_size, wanted)
        return [self._job(body) for body in found.results if body.status in wanted]

    async def iter_jobs(self, status: WantedStatus = None) -> AsyncGenerator[ComputeHordeJob, None]:
        """All of this hotkey's jobs, each once, asked for page by page.

        Args:
            status: only jobs with this status, or one of these, as members or as text.

        Raises:
            ComputeHordeValidationError: there is no such status.
            ComputeHordeError: the facilitator cannot be asked.
        """
        wanted = Statuses(status)

        async def page(number: int) -> PageBody:
            return await self._page(number, PAGE_SIZE, wanted)

        async with contextlib.aclosing(listed(page, PAGE_SIZE)) as bodies:
            async for body in bodies:
                if body.status in wanted:
                    yield self._job(body)

    async def _page(self, page: int, page_size: int, wanted: Statuses) -> PageBody:
        parameters = wanted.parameters(page, page_size)
        return parsed(PageBody, await self._facilitator.get("/jobs/", parameters))

    def _job(self, body: JobBody) -> ComputeHordeJob:
        return ComputeHordeJob(
            self,
            body.uuid,
            result=body.result(),
            streaming_server_cert=body.streaming_server_cert,
            streaming_server_address=body.streaming_server_address,
            streaming_server_port=body.streaming_server_port,
            status_history=body.history(),
            facts=body.facts(),
        )


def job_name(field: str, job_uuid: object) -> str:
    """A job's uuid, as a part of a path.

    Raises:
        ComputeHordeValidationError: it is none.
    """
    name = str(job_uuid)
    if not _JOB_NAME.fullmatch(name):
        raise ComputeHordeValidationError(
            field, f"{name[:100]!r} is no job's uuid; give the uuid of a ComputeHordeJob"
        )
    return name
