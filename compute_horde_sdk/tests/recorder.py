"""A facilitator for tests: it records every request and gives the answers that it was told."""

import base64
import hashlib
import json
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from bittensor_wallet import Keypair
from typing_extensions import override

from compute_horde_common.clock import Clock

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
JOB = "0f8fad5b-d9cb-469f-a165-70867728950e"
START = datetime(2026, 1, 1, tzinfo=UTC)
NONCE = "0123456789abcdef:1abc:nonce"

Answer = httpx.Response | Exception


class LeapingClock(Clock):
    """Whoever waits, is there at once; ``slept`` has how long it would have taken."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = START

    @override
    def now(self) -> datetime:
        return self._now

    @override
    async def sleep_until(self, when: datetime) -> None:
        self.slept.append(round((when - self._now).total_seconds(), 6))
        self._now = max(self._now, when)

    @override
    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    @property
    def total(self) -> float:
        return (self._now - START).total_seconds()


class Recorder(httpx.AsyncBaseTransport):
    """``answers`` are given to requests below ``/api/``, one each; the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.nonce_answers: list[Answer] = []
        self.login_answers: list[Answer] = []
        self.answers: list[Answer] = []
        self.logins = 0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        match request.url.path.rsplit("/", 1)[-1]:
            case "nonce":
                return _next(self.nonce_answers, httpx.Response(200, json={"nonce": NONCE}))
            case "login":
                self.logins += 1
                token = {"token": f"token-{self.logins}"}
                return _next(self.login_answers, httpx.Response(200, json=token))
            case _:
                return _next(self.answers, None)

    @property
    def api_requests(self) -> list[httpx.Request]:
        return [request for request in self.requests if "/api/" in request.url.path]

    @property
    def sent(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]


def _next(answers: list[Answer], default: httpx.Response | None) -> httpx.Response:
    answer = (answers.pop(0) if len(answers) > 1 or default else answers[0]) if answers else default
    assert answer is not None, "nobody said what to answer"
    if isinstance(answer, Exception):
        raise answer
    # A response can be read once only.
    return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


def job_body(*statuses: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any member of a body
    """A job as the facilitator describes it; metadata of the last status by ``metadata``."""
    metadata = more.pop("metadata", {})
    history = [
        {"status": status, "metadata": {}, "created_at": (START + timedelta(seconds=n)).isoformat()}
        for n, status in enumerate(statuses or ("sent",))
    ]
    history[-1]["metadata"] = metadata
    return {
        "uuid": JOB,
        "executor_class": "always_on.test",
        "created_at": START.isoformat(),
        "docker_image": "alpine:3.20",
        "args": [],
        "env": {},
        "stdout": "",
        "stderr": "",
        "artifacts": {},
        "upload_results": {},
        "streaming_server_cert": "",
        "streaming_server_address": "",
        "streaming_server_port": 0,
        "status": "Sent",
        "status_history": history,
        **more,
    }


def job_answer(*statuses: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - any member of a body
    return httpx.Response(200, json=job_body(*statuses, **more))


def failed(reason: str) -> httpx.Response:
    details = {"reason": reason, "stage": "execution", "message": "it broke", "context": None}
    return job_answer("sent", "failed", metadata={"job_failure_details": details})


def rejected(reason: str) -> httpx.Response:
    details = {"reason": reason, "message": "no", "rejected_by": "validator"}
    return job_answer("sent", "rejected", metadata={"job_rejection_details": details})


def horde_failed() -> httpx.Response:
    details = {"reason": "executor_disconnected", "message": "gone", "reported_by": "miner"}
    return job_answer("sent", "horde_failed", metadata={"horde_failure_details": details})


def signs(request: httpx.Request, text: str) -> bool:
    """Whether a request's headers carry Alice's signature of a text, in its double-encoded form."""
    headers = request.headers
    payload = json.dumps(text).encode()
    timestamp = int(headers["X-CH-Timestamp-NS"]).to_bytes(8, "big")
    digest = hashlib.blake2b(timestamp + payload).digest()
    signature = base64.b64decode(headers["X-CH-Signature"])
    return bool(Keypair(ss58_address=ALICE).verify(digest, signature))
