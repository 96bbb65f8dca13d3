"""What the miner reads from its environment."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from compute_horde_common.containers.interface import DEFAULT_ADDRESS
from compute_horde_common.contrib.django.config import (
    CommaSeparated,
    ValidatorsConfig,
    WalletConfig,
    load,
)
from compute_horde_common.jobs.executor_classes import DEFAULT_EXECUTOR_CLASS, executor_class

MAX_SLOTS = 4096
EXECUTOR_SETTINGS = frozenset(
    {
        "ARTIFACTS_MAX_BYTES",
        "ARTIFACT_MAX_BYTES",
        "CANCEL_GRACE_SECONDS",
        "EXECUTOR_CPUS",
        "EXECUTOR_GPUS",
        "EXECUTOR_MEMORY_BYTES",
        "HF_ACCESS_TOKEN",
        "HF_ENDPOINT",
        "IMAGE_ALLOW",
        "IMAGE_DENY",
        "IMAGE_MAX_BYTES",
        "IMAGE_REQUIRE_DIGEST",
        "INPUT_CACHE_BYTES",
        "INPUT_CACHE_DIR",
        "INPUT_MAX_FILES",
        "JOB_DISK_BYTES",
        "JOB_RUNTIME",
        "JOB_USER_NAMESPACE",
        "OUTPUT_ZIP_UPLOAD_MAX_SIZE_BYTES",
        "REGISTRY_CREDENTIALS",
        "STREAMING_PORTS",
        "VOLUME_MAX_SIZE_BYTES",
    }
)
"""Variables of executors that are the operator's to set; the others are ours."""


def _counts(text: str) -> dict[str, int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts]
    if any(not name or not count.strip().isdecimal() for name, _, count in pairs):
        raise ValueError("expected CLASS=NUMBER, several separated by commas")
    return {name.strip(): int(count) for name, _, count in pairs}


def _variables(value: object) -> object:
    """``NAME=VALUE`` lines, or a JSON object, as a dictionary."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        found = json.loads(value)
        return {
            name: content if isinstance(content, str) else json.dumps(content)
            for name, content in found.items()
        }
    lines = [line.strip() for line in value.splitlines() if line.strip()]
    pairs = [line.partition("=") for line in lines]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError("expected NAME=VALUE, one per line, or a JSON object")
    return {name.strip(): content.strip() for name, _, content in pairs}


Variables = Annotated[dict[str, str], NoDecode, BeforeValidator(_variables)]


class MinerConfig(WalletConfig, ValidatorsConfig):
    """What the miner reads from its environment."""

    executor_slots: str = Field(
        default=f"{DEFAULT_EXECUTOR_CLASS}=1",
        description="How many executors of each class this miner runs: CLASS=NUMBER,CLASS=NUMBER",
    )
    executor_manager: str = Field(
        default="docker",
        description="Who runs them: docker, process, or an entry point's name"
        " (group compute_horde.executor_managers).",
    )
    executor_image: str = Field(
        default="computehorde/executor:latest", description="Image of an executor in a container."
    )
    executor_network: str = Field(
        default="bridge", description="Docker network of executors in containers."
    )
    docker_host: str = Field(
        default=DEFAULT_ADDRESS,
        pattern=r"^(unix:///|tcp://)",
        description="Where the Docker engine of executors and jobs is: unix:///path, which must be"
        " the same path on its host, or tcp://host:port.",
    )
    executor_log_directory: Path | None = Field(
        default=None, description="Where child-process executors write their logs; empty: nowhere."
    )
    executor_work_directory: Path = Field(
        default=Path("/tmp"),  # noqa: S108 - executors make private folders below it
        description="Where executors keep the files of jobs; a path on Docker's host, too.",
    )
    executor_environment: Variables = Field(
        default={},
        description="Variables for executors: NAME=VALUE, one per line, or a JSON object.",
    )
    executor_gpus: CommaSeparated = Field(
        default=[],
        description="Ids of the GPUs that the slots of GPU classes share out among them;"
        " empty: each has all.",
    )
    streaming_address: str | None = Field(
        default=None,
        description="IP address at which clients of streaming jobs reach our executors; empty: that"
        " from which an executor connects, or ours if it is on this host.",
    )
    warm_starts: int = Field(
        default=2, ge=1, le=64, description="How many idle executors may be starting at once."
    )
    stop_all_on_exit: bool = Field(
        default=False, description="Also stop executors that run jobs when the fleet process ends."
    )
    address_for_executors: str = Field(
        default="172.17.0.1", description="Host name or address at which executors reach us."
    )
    port_for_executors: int = Field(
        default=8000, ge=1, le=65535, description="Port at which executors reach us."
    )
    allow_private_addresses: bool = Field(
        default=False, description="Let jobs' URLs name private addresses; for development."
    )
    debug_no_gpu_mode: bool = Field(
        default=False, description="Run jobs of GPU classes without a GPU; for development."
    )
    require_validator_signature: bool = Field(
        default=False, description="Decline jobs that the validator did not sign."
    )
    is_local_miner: bool = Field(
        default=False, description="A trusted miner: serves one validator, without a chain."
    )
    local_miner_validator_public_key: str | None = Field(
        default=None, description="The hotkey (SS58) of the validator that a trusted miner serves."
    )
    bittensor_miner_address: str = Field(
        default="auto", description="The IP address that is announced; auto: ask the internet."
    )
    bittensor_miner_port: int = Field(
        default=8000, ge=1, le=65535, description="The port that is announced."
    )
    always_served_validators: CommaSeparated = Field(
        default=["5HBVrFGy6oYhhh71m9fFGYD7zbKyAeHnWN8i8s9fJTBMCtEE"],
        description="Hotkeys that are served whatever their stake.",
    )

    @field_validator("bittensor_miner_address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return value if value == "auto" else str(ip_address(value))

    @field_validator("streaming_address")
    @classmethod
    def _an_ip_address(cls, value: str | None) -> str | None:
        return value and str(ip_address(value))

    @field_validator("executor_environment")
    @classmethod
    def _known_names(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(value) - EXECUTOR_SETTINGS):
            raise ValueError(
                f"{', '.join(unknown)} cannot be set. Known: {', '.join(sorted(EXECUTOR_SETTINGS))}"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.slots:
            executor_class(name)
        if sum(self.slots.values()) > MAX_SLOTS:
            raise ValueError(f"EXECUTOR_SLOTS: more than {MAX_SLOTS} in all")
        if len(set(self.executor_gpus)) < len(self.executor_gpus):
            raise ValueError("EXECUTOR_GPUS: a GPU is named twice")
        if self.executor_gpus and len(self.executor_gpus) < sum(self.gpu_slots.values()):
            raise ValueError("EXECUTOR_GPUS: fewer GPUs than slots of GPU classes")
        if self.is_local_miner and not self.local_miner_validator_public_key:
            raise ValueError("IS_LOCAL_MINER needs LOCAL_MINER_VALIDATOR_PUBLIC_KEY")
        return self

    @property
    def slots(self) -> dict[str, int]:
        """How many executors of each class this miner runs."""
        return _counts(self.executor_slots)

    @property
    def gpu_slots(self) -> dict[str, int]:
        """Those of classes whose jobs get a GPU."""
        return {name: count for name, count in self.slots.items() if executor_class(name).has_gpu}

    @property
    def executors_dial(self) -> str:
        """The address that executors connect to."""
        return f"ws://{self.address_for_executors}:{self.port_for_executors}"


config = load(MinerConfig)
