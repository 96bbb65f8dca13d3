"""A facilitator that says what a test has planned, and remembers what it was asked."""

import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from compute_horde_common.chain.keys import verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
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

    def view(self) -> dict[str, object]:
        history = [
            {"created_at": NOW.isoformat()}
            | ({"status": entry} if isinstance(entry, str) else entry)
            for entry in self.history
        ]
        base: dict[str, object] = {
            "uuid": self.uuid,
            "executor_class": "always_on.test",
            "created_at": NOW.isoformat(),
            "docker_image": "alpine",
            "args": [],
            "env": {},
            "stdout": "out",
            "stderr": "err",
            "status_history": history,
        }
        return base | self.members

    def log_page(self, offset: int) -> dict[str, object]:
        """Two lines at most, and one more is written."""
        shown = list(enumerate(self.written))[offset : offset + 2]
        pieces = [
            {"number": number, "stream": "stdout", "text": text, "created_at": NOW.isoformat()}
            for number, text in shown
        ]
        ended = self.history[-1] in ENDINGS and not self.to_write
        if self.to_write:
            self.written.append(self.to_write.pop(0))
        return {"pieces": pieces, "next_offset": offset + len(pieces), "ended": ended}

    def advance(self) -> None:
        if self.later:
            self.history.append(self.later.pop(0))


class FakeFacilitator:
    """``plans`` are the histories of the jobs to come. ``trouble`` is what happens to the next
    requests of the API instead of an answer; ``login_trouble`` likewise to those of the login.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.jobs: dict[str, Job] = {}
        self.plans: deque[list[Entry]] = deque()
        self.trouble: deque[httpx.Response | Exception] = deque()
        self.login_trouble: deque[httpx.Response | Exception] = deque()
        self.refused_tokens: set[str] = set()
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

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        is_login = request.url.path.startswith("/auth/")
        trouble = self.login_trouble if is_login else self.trouble
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
        if path.endswith("/logs/"):
            return httpx.Response(200, json=job.log_page(int(request.url.params["offset"])))
        job.advance()
        return httpx.Response(200, json=job.view())

    def _post(self, path: str) -> httpx.Response:
        if path.endswith("/cancel/"):
            return self._cancel(self.jobs.get(path.split("/")[2]))
        if path == "/cheated-job/":
            return httpx.Response(201, text='{"message": "noted"}')
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

    def _page(self, params: Mapping[str, str]) -> httpx.Response:
        number, size = int(params["page"]), int(params["page_size"])
        jobs = list(self.jobs.values())
        found = jobs[(number - 1) * size : number * size]
        if not found and number > 1:
            return httpx.Response(404, json={"detail": "Invalid page."})
        following = "http://facilitator/next" if number * size < len(jobs) else None
        results = [job.view() for job in found]
        page = {"count": len(jobs), "next": following, "previous": None, "results": results}
        return httpx.Response(200, json=page)
