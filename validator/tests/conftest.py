"""What every test of the validator may use. Nothing here imports a model: Django is not up yet."""

import os
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.facilitator_validator import JobRequest
from compute_horde_common.protocol.signatures import job_payload, signed
from tests.samples import MakeRequest, MakeSpec

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")
pytest_plugins = ["compute_horde_common.contrib.django.testing"]


@pytest.fixture
def at() -> datetime:
    """The moment at which a hand-wound clock starts."""
    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def alice() -> Hotkey:
    """The validator."""
    return Hotkey.from_uri("//Alice")


@pytest.fixture(scope="session")
def bob() -> Hotkey:
    """A user."""
    return Hotkey.from_uri("//Bob")


@pytest.fixture
def make_spec() -> MakeSpec:
    """A job's spec, with what a test cares about."""

    def make(**fields: object) -> JobSpec:
        return JobSpec.model_validate(
            {
                "executor_class": "always_on.test",
                "docker_image": "busybox:1",
                "args": ["true"],
                "download_time_limit": 10,
                "execution_time_limit": 20,
                "upload_time_limit": 30,
                "streaming_start_time_limit": 40,
                **fields,
            }
        )

    return make


@pytest.fixture
def make_request(make_spec: MakeSpec) -> MakeRequest:
    """A signed job request."""

    def make(
        signer: Hotkey, uuid: str | None = None, *, timestamp_ns: int = 1, **fields: object
    ) -> JobRequest:
        spec = make_spec(**fields)
        signature = signed(job_payload(spec), signer, timestamp_ns=timestamp_ns)
        return JobRequest.of(uuid or str(uuid4()), spec, signature, "SN12.0")

    return make
