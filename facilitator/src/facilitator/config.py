"""What the facilitator reads from its environment."""

from typing import Final

from pydantic import Field, SecretStr

from compute_horde_common.contrib.django.config import ValidatorsConfig, load


class FacilitatorConfig(ValidatorsConfig):
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


config: Final = load(FacilitatorConfig)
