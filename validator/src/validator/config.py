"""What the validator reads from its environment."""

from pathlib import Path
from typing import Final

from pydantic import Field

from compute_horde_common.contrib.django.config import ServiceConfig, load
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec


class ValidatorConfig(ServiceConfig):
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
    bittensor_netuid: int = Field(default=12, ge=0, description="The subnet's number.")
    bittensor_network: str = Field(
        default="finney", description="finney, test, or a node's ws:// or wss:// URL."
    )
    bittensor_wallet_directory: Path = Field(
        default=Path("~/.bittensor/wallets"), description="Where wallets are."
    )
    bittensor_wallet_name: str = Field(default="default", description="The wallet's name.")
    bittensor_wallet_hotkey_name: str = Field(
        default="default", description="The name of the hotkey in that wallet."
    )
    chain_sync_seconds: float = Field(
        default=60.0, gt=0, description="How often miners are read from the chain."
    )
    manifest_sync_seconds: float = Field(
        default=300.0, gt=0, description="How often miners are asked what they offer."
    )
    trusted_miner_address: str | None = Field(
        default=None, description="Host of the miner for jobs that ask for a trusted one."
    )
    trusted_miner_port: int | None = Field(default=None, ge=1, le=65_535, description="Its port.")
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
    extra_executor_classes: list[ExecutorClassSpec] = Field(
        default=[],
        description='More classes, in JSON: [{"name": "always_on.x", "spin_up_seconds": 3}]',
    )


config: Final = load(ValidatorConfig)
