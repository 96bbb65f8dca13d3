"""Who takes part, and what they ask for."""

from compute_horde_common.chain.keys import Hotkey, public_key_of, verify
from compute_horde_common.clock import Clock
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol.signatures import Signature, job_payload, signed
from validator.links.office import Office

VALIDATOR = Hotkey.from_uri("//Alice")
MINER = Hotkey.from_uri("//Bob")
USER = Hotkey.from_uri("//Charlie")
MALLORY = Hotkey.from_uri("//Mallory")
CLASS = "always_on.test"


def office_of(validator: Hotkey, clock: Clock) -> Office:
    """The office of a validator."""
    return Office(validator, public_key_of(validator.ss58), verify, clock)


def a_spec(**changes: object) -> JobSpec:
    """A small job."""
    return JobSpec.model_validate(
        {
            "executor_class": CLASS,
            "docker_image": "busybox:1",
            "args": ["echo", "ż"],
            "env": {"Z": "1", "A": "2"},
            "download_time_limit": 5,
            "execution_time_limit": 10,
            "upload_time_limit": 5,
            "streaming_start_time_limit": 5,
            **changes,
        }
    )


def signature_of(spec: JobSpec, signer: Hotkey, clock: Clock) -> Signature:
    """The signer's signature of a job, made just now."""
    now = int(clock.now().timestamp() * 1_000_000) * 1000
    return signed(job_payload(spec), signer, timestamp_ns=now)
