"""What a service reads from its environment: typed, complete, and all faults told at once."""

import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    PostgresDsn,
    RedisDsn,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from compute_horde_common.chain.interface import DEFAULT_MINIMUM_STAKE, DEFAULT_VALIDATOR_LIMIT
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec, define
from compute_horde_common.telemetry.logs import LogFormat, LogLevel

SECRETS = Path("/run/secrets")


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class ServiceConfig(BaseSettings):
    """What every service reads. A variable is named like its field, in capitals."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
        hide_input_in_errors=True,
    )

    secret_key: SecretStr = Field(
        min_length=16, description="Signs sessions; long, random, and nobody else's."
    )
    debug: bool = Field(default=False, description="Shows errors to visitors; never in production.")
    database_url: PostgresDsn = Field(description="e.g. postgresql://user:password@host/database")
    redis_url: RedisDsn = Field(description="e.g. redis://:password@host:6379/0")
    allowed_hosts: CommaSeparated = Field(
        default=["*"], description="Host names under which this service is visited."
    )
    csrf_trusted_origins: CommaSeparated = Field(
        default=[], description="Origins of the admin panel behind a proxy, e.g. https://x.y."
    )
    https: bool = Field(
        default=False,
        description="Visitors come over HTTPS, through a proxy that sets X-Forwarded-Proto.",
    )
    behind_proxy: bool = Field(
        default=False,
        description="Everybody comes through a proxy that sets X-Real-IP to the visitor's address,"
        " whatever the visitor says. Without one, visitors could choose what they are called.",
    )
    log_format: LogFormat = Field(default="auto", description="json, console or auto.")
    log_level: LogLevel = Field(default="info", description="debug, info, warning or error.")
    admin_username: str | None = Field(
        default=None, description="Login of the administrator who is created at the start."
    )
    admin_password: SecretStr | None = Field(
        default=None, description="That administrator's password."
    )
    static_root: Path | None = Field(
        default=None,
        description="Where collectstatic puts the admin panel's files, for a web server before us.",
    )
    extra_executor_classes: list[ExecutorClassSpec] = Field(
        default=[],
        description='Classes beside the usual ones, JSON: [{"name": "always_on.gpu_a100_80gb",'
        ' "spin_up_seconds": 30, "gpu": "NVIDIA A100"}].',
    )

    @field_validator("extra_executor_classes")
    @classmethod
    def _define(cls, specs: list[ExecutorClassSpec]) -> list[ExecutorClassSpec]:
        define(specs)
        return specs


class ChainConfig(ServiceConfig):
    """What a service reads that looks at the chain."""

    bittensor_netuid: int = Field(default=12, ge=0, description="The subnet's number.")
    chain_sync_seconds: float = Field(
        default=60.0, gt=0, description="How often the chain is read, in seconds."
    )


class WalletConfig(ChainConfig):
    """What a service reads that is on the chain itself, under a hotkey."""

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
    migrating: bool = Field(
        default=False,
        description="Set on the server that a service moves to: it takes no new jobs from its first"
        " start there, until `drain --end` or the admin panel says so.",
    )

    @property
    def wallet(self) -> tuple[Path, str, str]:
        """Where the hotkey is: directory, wallet and hotkey, as ``Hotkey.from_wallet`` asks."""
        return (
            self.bittensor_wallet_directory,
            self.bittensor_wallet_name,
            self.bittensor_wallet_hotkey_name,
        )


class ValidatorsConfig(ChainConfig):
    """What a service reads that finds validators on the chain."""

    validator_minimum_stake: float = Field(
        default=DEFAULT_MINIMUM_STAKE, ge=0, description="Stake that makes a neuron a validator."
    )
    validator_limit: int = Field(
        default=DEFAULT_VALIDATOR_LIMIT,
        ge=1,
        description="At most so many are validators, those with most stake.",
    )


Config = TypeVar("Config", bound=BaseSettings)


def load(kind: type[Config]) -> Config:
    """The configuration; on a fault, prints every one of them and exits with status 2."""
    try:
        return kind()
    except ValidationError as error:
        sys.stderr.write(faults(error))
        raise SystemExit(2) from None


def faults(error: ValidationError) -> str:
    """One line per faulty variable, without their values."""
    lines = [
        f"  {'.'.join(str(part) for part in fault['loc']).upper()}: {_plain(fault)}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return "\n".join(["The environment is not complete or not valid:", *lines, ""])


def env_example(kind: type[BaseSettings]) -> str:
    """An ``.env`` file with every variable, its meaning and its default."""
    heading = (kind.__doc__ or "").strip().split("\n")[0]
    parts = [f"# {heading}\n"]
    for name, field in kind.model_fields.items():
        comment = f"# {field.description or name.replace('_', ' ')}"
        parts.append(f"{comment}\n{_assignment(name.upper(), field)}\n")
    return "\n".join(parts)


def _plain(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    return "is missing" if fault["type"] == "missing" else str(fault["msg"])


def _assignment(variable: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{variable}="
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined or default is None:
        return f"# {variable}="
    if isinstance(default, list | tuple):
        return f"# {variable}={','.join(str(part) for part in default)}"
    if isinstance(default, bool):
        return f"# {variable}={str(default).lower()}"
    if isinstance(default, SecretStr):
        return f"# {variable}="
    return f"# {variable}={default}"
