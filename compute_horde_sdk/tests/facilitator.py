"""A facilitator that says what a test has planned, and remembers what it was asked."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
from typing_extensions import override

from compute_horde_common.chain.keys import verify
from compute_horde_common.clock import Clock, HandWoundClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOK = timedelta(seconds=0.05)
Cut = tuple[int, Exception | None]
Entry = str | dict[str, object]
ENDINGS = ("completed", "rejected", "failed", "horde_failed")
CANCELLED: Entry = {
    "status": "failed",
    "metadata": {
        "job_failure_details": {
            "reason": "cancelled",
            "stage": "execution",
            "message": "The job was cancelled by its author.",
        }
    },
}


class Job:
    """A job whose ``history`` grows by one of ``later`` whenever somebody asks for it."""

    def __init__(self, uuid: str, plan: list[Entry]) -> None:
        self.uuid = uuid
        self.history: list[Entry] = plan[:1]
        self.later: list[Entry] = plan[1:]
        self.members: dict[str, object] = {}
        self.written: list[str] = []
        self.to_write: list[str] = []

    def entries(self) -> list[dict[str, object]]:
        return [
            {"created_at": NOW.isoformat()}
            | ({"status": entry} if isinstance(entry, str) else entry)
            for entry in self.history
        ]

    @property
    def has_ended(self) -> bool:
        return self.entries()[-1]["status"] in ENDINGS and not self.to_write

    def view(self) -> dict[str, object]:
        base: dict[str, object] = {
            "uuid": self.uuid,
            "executor_class": "always_on.test",
            "created_at": NOW.isoformat(),
            "docker_image": "alpine",
            "args": [],
            "env": {},
            "stdout": "out",
            "stderr": "err",
            "status_history": self.entries(),
        }
        return base | self.members

    def log_page(self, offset: int) -> dict[str, object]:
        """Two lines at most, and one more is written."""
        pieces = self.pieces()[offset : offset + 2]
        ended = self.has_ended
        self.write()
        return {"pieces": pieces, "next_offset": offset + len(pieces), "ended": ended}

    def pieces(self) -> list[dict[str, object]]:
        return [
            {"number": number, "stream": "stdout", "text": text, "created_at": NOW.isoformat()}
            for number, text in enumerate(self.written)
        ]

    def write(self) -> None:
        if self.to_write:
            self.written.append(self.to_write.pop(0))

    def advance(self) -> None:
        if self.later:
            self.history.append(self.later.pop(0))


class Stream(httpx.AsyncByteStream):
    """The events of a job, looked for so often that none is late. After so many as ``cut`` says
    they break off, by its exception or by their end."""

    def __init__(self, job: Job, since: str, clock: Clock, cut: "Cut | None", logs: bool) -> None:
        self._job = job
        self._statuses, self._pieces = (int(part) for part in (since or "0-0").split("-"))
        self._progress: object = None
        self._clock = clock
        self._cut = cut
        self._logs = logs
        self.is_open = True

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        sent = 0
        while True:
            ended = self._job.has_ended
            for frame in self._frames(ended):
                if self._cut and sent == self._cut[0]:
                    break
                sent += 1
                yield frame
            if self._cut and sent == self._cut[0]:
                break
            if ended:
                return
            yield b": still here\n\n"
            self._job.write()
            self._job.advance()
            await self._clock.sleep_until(self._clock.now() + LOOK)
        if self._cut[1] is not None:
            raise self._cut[1]

    @override
    async def aclose(self) -> None:
        self.is_open = False

    def _frames(self, ended: bool) -> Iterator[bytes]:
        for piece in self._job.pieces()[self._pieces :] if self._logs else []:
            self._pieces += 1
            yield self._frame("log", piece)
        progress = self._job.members.get("progress")
        if progress is not None and progress != self._progress:
            self._progress = progress
            yield self._frame("progress", progress)
        for entry in self._job.entries()[self._statuses :]:
            self._statuses += 1
            yield self._frame("status", entry)
        if ended:
            yield self._frame("end", {"status": self._job.entries()[-1]["status"]})

    def _frame(self, kind: str, data: object) -> bytes:
        head = f"id: {self._statuses}-{self._pieces}\nevent: {kind}\n"
        return f"{head}data: {json.dumps(data)}\n\n".encode()


class HeldBack(Stream):
    """One of which nothing comes through."""

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


class FakeFacilitator:
    """``plans`` are the histories of the jobs to come. ``trouble`` is what happens to the next
    requests of the API instead of an answer; ``login_trouble`` likewise to those of the login,
    ``job_trouble`` to those for new jobs, where it is one,
    ``push_trouble`` to those for events, and ``cuts`` to the next streams of these.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or HandWoundClock()
        self.push_trouble: deque[httpx.Response | Exception] = deque()
        self.cuts: deque[Cut] = deque()
        self.job_trouble: deque[httpx.Response | None] = deque()
        self.streams: list[Stream] = []
        self.requests: list[httpx.Request] = []
        self.jobs: dict[str, Job] = {}
        self.plans: deque[list[Entry]] = deque()
        self.trouble: deque[httpx.Response | Exception] = deque()
        self.login_trouble: deque[httpx.Response | Exception] = deque()
        self.refused_tokens: set[str] = set()
        self.ignores_status = False
        self.holds_back = False
        self.logins = 0
        self.transport = httpx.MockTransport(self.answer)

    def add_job(self, *plan: Entry) -> Job:
        uuid = f"00000000-0000-4000-8000-{len(self.jobs):012d}"
        self.jobs[uuid] = Job(uuid, list(plan) or ["sent"])
        return self.jobs[uuid]

    @property
    def calls(self) -> list[str]:
        """What the API was asked, without logins."""
        return [
            f"{request.method} {request.url.path}"
            for request in self.requests
            if not request.url.path.startswith("/auth/")
        ]

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]

    @property
    def last_body(self) -> dict[str, object]:
        body = json.loads(self.last.content)
        assert isinstance(body, dict)
        return body

    @property
    def bodies(self) -> list[dict[str, object]]:
        """Those of all requests for jobs."""
        sent = [each for each in self.requests if each.url.path.endswith("/job-docker/")]
        return [json.loads(request.content) for request in sent]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        is_login = request.url.path.startswith("/auth/")
        trouble = self.login_trouble if is_login else self.trouble
        if request.url.path.endswith("/events/"):
            trouble = self.push_trouble
        if trouble:
            happening = trouble.popleft()
            if isinstance(happening, Exception):
                raise happening
            return happening
        return self._login(request) if is_login else self._api(request)

    def _login(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/nonce":
            return httpx.Response(200, json={"nonce": f"nonce-{len(self.requests)}"})
        body = json.loads(request.content)
        signed = verify(body["hotkey"], body["nonce"].encode(), bytes.fromhex(body["signature"]))
        if not signed:
            return httpx.Response(401, json={"detail": "Invalid signature"})
        self.logins += 1
        return httpx.Response(200, json={"token": f"token-{self.logins}"})

    def _api(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if token in self.refused_tokens:
            return httpx.Response(401, json={"detail": "Token decode error."})
        path = request.url.path.removeprefix("/api/v1")
        if request.method == "POST":
            return self._post(path)
        if path == "/jobs/":
            return self._page(request.url.params)
        job = self.jobs.get(path.split("/")[2])
        if job is None:
            return httpx.Response(404, json={"detail": "Not found."})
        return self._get(request, path.split("/")[3], job)

    def _get(self, request: httpx.Request, part: str, job: Job) -> httpx.Response:
        if part == "logs":
            return httpx.Response(200, json=job.log_page(int(request.url.params["offset"])))
        if part == "events":
            return self._events(request, job)
        job.advance()
        return httpx.Response(200, json=job.view())

    def _events(self, request: httpx.Request, job: Job) -> httpx.Response:
        since = request.headers.get("Last-Event-ID", "")
        logs = request.url.params.get("logs") != "false"
        cut = self.cuts.popleft() if self.cuts else None
        stream = (HeldBack if self.holds_back else Stream)(job, since, self.clock, cut, logs)
        self.streams.append(stream)
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)

    def _post(self, path: str) -> httpx.Response:
        if path.endswith("/cancel/"):
            return self._cancel(self.jobs.get(path.split("/")[2]))
        if path == "/cheated-job/":
            return httpx.Response(201, text='{"message": "noted"}')
        if self.job_trouble and (trouble := self.job_trouble.popleft()):
            return trouble
        job = self.add_job(*(self.plans.popleft() if self.plans else []))
        return httpx.Response(201, json=job.view())

    @staticmethod
    def _cancel(job: Job | None) -> httpx.Response:
        if job is None:
            return httpx.Response(404, json={"detail": "Not found."})
        if job.history[-1] in ENDINGS:
            return httpx.Response(409, json={"detail": "The job has ended."})
        job.later = [CANCELLED]
        return httpx.Response(202, json=job.view())

    def _page(self, params: httpx.QueryParams) -> httpx.Response:
        number, size = int(params["page"]), int(params["page_size"])
        wanted = params.get_list("status")
        jobs = [
            job
            for job in self.jobs.values()
            if not wanted or self.ignores_status or job.entries()[-1]["status"] in wanted
        ]
        found = jobs[(number - 1) * size : number * size]
        if not found and number > 1:
            return httpx.Response(404, json={"detail": "Invalid page."})
        following = "http://facilitator/next" if number * size < len(jobs) else None
        results = [job.view() for job in found]
        page = {"count": len(jobs), "next": following, "previous": None, "results": results}
        return httpx.Response(200, json=page)
