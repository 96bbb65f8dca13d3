"""Who takes part in the tests, and shorthand for what they do."""

import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from django.test import Client

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.clock import SystemClock
from compute_horde_common.protocol.rest import JobCreate, signature_headers
from compute_horde_common.protocol.signatures import Signature, job_payload, signed
from facilitator.api.auth import _TOKEN_SECRET
from facilitator.domain.login import make_token
from facilitator.domain.submissions import Submission, nanoseconds, submission
from facilitator.models import Job
from facilitator.services import fleet, jobs, login

ALICE = Hotkey.from_uri("//Alice")
BOB = Hotkey.from_uri("//Bob")
MALLORY = Hotkey.from_uri("//Mallory")
ANSWER_LIMIT = 60.0

Answer = Any
"""Of Django's test client, whose responses have no public type."""


def now() -> datetime:
    return SystemClock().now()


def job_body(**changes: object) -> dict[str, object]:
    """A small job, as the SDK says it."""
    return {
        "target_validator_hotkey": BOB.ss58,
        "executor_class": "always_on.test",
        "docker_image": "busybox:1",
        "job_namespace": "SN12.test",
        "args": ["echo", "ż"],
        "env": {"Z": "1", "A": "2"},
        "use_gpu": True,
        "artifacts_dir": None,
        "on_trusted_miner": False,
        "download_time_limit": 5,
        "execution_time_limit": 30,
        "streaming_start_time_limit": 5,
        "upload_time_limit": 5,
        **changes,
    }


def signature_of(
    body: dict[str, object], signer: Hotkey = ALICE, at: datetime | None = None
) -> Signature:
    payload = job_payload(JobCreate.model_validate(body).spec())
    return signed(payload, signer, timestamp_ns=nanoseconds(at or now()))


def a_submission(at: datetime | None = None, **changes: object) -> Submission:
    body = job_body(**changes)
    at = at or now()
    signature = signature_of(body, at=at)
    return submission(ALICE.ss58, JobCreate.model_validate(body), signature, None, at, verify)


def a_job(at: datetime | None = None, **changes: object) -> Job:
    """A job that Alice sent to Bob, who is connected."""
    at = at or now()
    connect_bob(at)
    return jobs.submit(a_submission(at, **changes), answer_limit=ANSWER_LIMIT, at=at)


def connect_bob(at: datetime | None = None) -> int:
    fleet.allow(BOB.ss58)
    return fleet.connect(BOB.ss58, "1", "2", at or now())


class User:
    """Somebody who uses the API with a hotkey."""

    def __init__(self, hotkey: Hotkey = ALICE) -> None:
        self.hotkey = hotkey
        self.client = Client()
        self.headers = {"Authorization": "Bearer " + make_token(hotkey.ss58, _TOKEN_SECRET, now())}

    @classmethod
    def allowed(cls, hotkey: Hotkey = ALICE) -> "User":
        login.allow(hotkey.ss58)
        return cls(hotkey)

    def get(self, path: str, **query: str | list[str]) -> Answer:
        return self.client.get(path, query, headers=self.headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.post(
            path, text, content_type="application/json", headers={**self.headers, **headers}
        )

    def create(
        self, body: dict[str, object], signature: Signature | None = None, **headers: str
    ) -> Answer:
        used = signature or signature_of(body, self.hotkey)
        return self.post("/api/v1/job-docker/", body, **{**signature_headers(used), **headers})


def another_signature() -> Signature:
    """Well-formed, and nobody's."""
    return Signature(
        signature_type="bittensor",
        signatory=ALICE.ss58,
        timestamp_ns=nanoseconds(now()),
        signature=base64.b64encode(uuid.uuid4().bytes * 4).decode(),
    )


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
