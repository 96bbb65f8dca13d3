"""What the facilitator reads from its environment."""

from typing import Final

from pydantic import Field, SecretStr

from compute_horde_common.chain.interface import DEFAULT_MINIMUM_STAKE, DEFAULT_VALIDATOR_LIMIT
from compute_horde_common.contrib.django.config import ServiceConfig, load
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec


class FacilitatorConfig(ServiceConfig):
    """What the facilitator reads from its environment."""

    jwt_secret: SecretStr = Field(
        min_length=32, description="Signs users' login tokens; random, and not SECRET_KEY."
    )
    allow_static_validator_auth: bool = Field(
        default=False,
        description="Let validators in that authenticate by a constant, replayable signature.",
    )
    answer_limit_seconds: int = Field(
        default=60, ge=1, le=3600, description="How long a validator may take to receive a job."
    )
    job_retention_days: int = Field(
        default=7, ge=1, le=3650, description="Jobs older than this are deleted."
    )
    bittensor_network: str | None = Field(
        default=None,
        description="finney, test, or a node's ws:// or wss:// URL; where validators are read"
        " from. Without it, validators are those that the operator enters.",
    )
    bittensor_netuid: int = Field(default=12, ge=0, description="The subnet's number.")
    chain_sync_seconds: float = Field(
        default=60.0, gt=0, description="How often validators are read from the chain."
    )
    validator_limit: int = Field(
        default=DEFAULT_VALIDATOR_LIMIT, ge=1, description="At most so many validators are let in."
    )
    validator_minimum_stake: float = Field(
        default=DEFAULT_MINIMUM_STAKE, ge=0, description="Stake that makes a neuron a validator."
    )
    extra_executor_classes: list[ExecutorClassSpec] = Field(
        default=[],
        description='Classes beside the usual ones, JSON: [{"name": "always_on.gpu_a100_80gb",'
        ' "spin_up_seconds": 30, "gpu": "NVIDIA A100"}].',
    )


config: Final = load(FacilitatorConfig)
