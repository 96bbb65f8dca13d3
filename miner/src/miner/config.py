"""What the miner reads from its environment."""

from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from compute_horde_common.contrib.django.config import (
    CommaSeparated,
    ValidatorsConfig,
    WalletConfig,
    load,
)
from compute_horde_common.jobs.executor_classes import DEFAULT_EXECUTOR_CLASS, executor_class

MAX_SLOTS = 4096


def _counts(text: str) -> dict[str, int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts]
    if any(not name or not count.strip().isdecimal() for name, _, count in pairs):
        raise ValueError("expected CLASS=NUMBER, several separated by commas")
    return {name.strip(): int(count) for name, _, count in pairs}


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
    executor_log_directory: Path | None = Field(
        default=None, description="Where child-process executors write their logs; empty: nowhere."
    )
    executor_work_directory: Path = Field(
        default=Path("/tmp"),  # noqa: S108 - executors make private folders below it
        description="Where executors keep the files of jobs; a path on Docker's host, too.",
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.slots:
            executor_class(name)
        if sum(self.slots.values()) > MAX_SLOTS:
            raise ValueError(f"EXECUTOR_SLOTS: more than {MAX_SLOTS} in all")
        if self.is_local_miner and not self.local_miner_validator_public_key:
            raise ValueError("IS_LOCAL_MINER needs LOCAL_MINER_VALIDATOR_PUBLIC_KEY")
        return self

    @property
    def slots(self) -> dict[str, int]:
        """How many executors of each class this miner runs."""
        return _counts(self.executor_slots)

    @property
    def executors_dial(self) -> str:
        """The address that executors connect to."""
        return f"ws://{self.address_for_executors}:{self.port_for_executors}"


config = load(MinerConfig)
