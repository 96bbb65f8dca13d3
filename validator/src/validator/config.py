"""What the validator reads from its environment."""

from typing import Final

from pydantic import Field, SecretStr

from compute_horde_common.contrib.django.config import WalletConfig, load


class ValidatorConfig(WalletConfig):
    """What the validator reads from its environment."""

    facilitator_uri: str = Field(
        default="wss://facilitator.computehorde.io/ws/v0/",
        pattern=r"^wss?://",
        description="The facilitator's websocket.",
    )
    allow_static_facilitator_auth: bool = Field(
        default=True,
        description="Authenticate by a constant signature where the facilitator asks for none.",
    )
    manifest_sync_seconds: float = Field(
        default=300.0, gt=0, description="How often miners are asked what they offer."
    )
    trusted_miner_address: str | None = Field(
        default=None, description="Host of the miner for jobs that ask for a trusted one."
    )
    trusted_miner_port: int | None = Field(default=None, ge=1, le=65_535, description="Its port.")
    s3_bucket_name_prompts: str | None = Field(
        default=None, description="S3 bucket for prompts; see docs/operators/s3.md."
    )
    s3_bucket_name_answers: str | None = Field(
        default=None, description="S3 bucket for the answers to prompts."
    )
    aws_access_key_id: str | None = Field(
        default=None, description="Whose key it is that reads and writes both buckets."
    )
    aws_secret_access_key: SecretStr | None = Field(default=None, description="That key.")
    aws_default_region: str | None = Field(
        default=None, description="The region of both buckets, e.g. us-east-1."
    )
    aws_endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where S3 is spoken, if not at Amazon's, e.g. https://account.r2.example.com.",
    )
    allow_private_miners: bool = Field(
        default=False,
        description="Connect to miners that announce a private address; for tests only.",
    )
    reservation_seconds: int = Field(
        default=7, ge=1, le=600, description="How long a miner may take to accept or decline."
    )
    routing_seconds: int = Field(
        default=60,
        ge=0,
        le=600,
        description="How long a job waits for an executor while all are busy with our own jobs.",
    )
    executor_startup_seconds: int = Field(
        default=10,
        ge=0,
        le=3600,
        description="What an executor may take to start, beside its class's spin-up time.",
    )


config: Final = load(ValidatorConfig)
