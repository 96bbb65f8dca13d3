"""Every service of the network: its environment, its processes, and what to prepare before."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compute_horde_devnet.options import NETUID
from compute_horde_devnet.state import AdminLogin, ServiceInfo

MAX_FRAME_BYTES = 64 << 20
"""Larger than any frame of the protocol; the conversations have limits of their own."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a service keeps its facts, and where it is woken."""

    database_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is to be: its name and address, its stores, the chain's address, and a
    folder for what its executors write."""

    name: str
    host: str
    port: int
    stores: Stores
    chain_url: str
    folder: Path


@dataclass(frozen=True, slots=True)
class WalletPath:
    """A wallet on disk."""

    directory: Path
    name: str
    hotkey_name: str = "default"


@dataclass(frozen=True, slots=True)
class Service:
    """One Django service with all its processes.

    ``package`` is facilitator, validator or miner; ``commands`` are the processes beside the web
    server, by name; ``preparations`` are management commands to run once before.
    """

    name: str
    package: str
    host: str
    port: int
    stores: Stores
    environment: Mapping[str, str]
    hotkey: str = ""
    commands: Mapping[str, list[str]] = field(default_factory=dict)
    preparations: list[list[str]] = field(default_factory=list)
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))

    @property
    def url(self) -> str:
        """Where the web server answers."""
        return f"http://{self.host}:{self.port}"

    def info(self) -> ServiceInfo:
        """What a person or script needs to know of it."""
        return ServiceInfo(
            name=self.name,
            url=self.url,
            hotkey=self.hotkey,
            admin=AdminLogin(
                url=f"{self.url}/admin/", username="admin", password=self.admin_password
            ),
            database_url=self.stores.database_url,
            redis_url=self.stores.redis_url,
        )

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of its processes."""
        return {
            **base,
            "DJANGO_SETTINGS_MODULE": f"{self.package}.settings",
            "SECRET_KEY": self.environment.get("SECRET_KEY", secrets.token_urlsafe(32)),
            "DATABASE_URL": self.stores.database_url,
            "REDIS_URL": self.stores.redis_url,
            "ALLOWED_HOSTS": "*",
            "LOG_FORMAT": "console",
            "ADMIN_USERNAME": "admin",
            "ADMIN_PASSWORD": self.admin_password,
            **self.environment,
        }

    def processes(self, data: Path) -> dict[str, list[str]]:
        """The command line of each process, by name."""
        python = sys.executable
        celery = [python, "-m", "celery", "-A"]
        schedule = str(data / f"{self.name}-beat")
        return {
            "web": [
                python,
                "-m",
                "daphne",
                "--bind",
                self.host,
                "--port",
                str(self.port),
                *("--ping-timeout", "120", "--websocket_timeout", "-1", "--no-server-name"),
                *("--access-log", "/dev/null"),
                *("--websocket-max-message-size", str(MAX_FRAME_BYTES)),
                *("--websocket-max-frame-size", str(MAX_FRAME_BYTES)),
                f"{self.package}.asgi:application",
            ],
            "worker": [
                *(*celery, f"{self.package}.celery", "worker", "--pool", "solo"),
                *("--without-gossip", "--without-mingle"),
            ],
            "beat": [*celery, f"{self.package}.beat", "beat", "--schedule", schedule],
            **{
                name: [python, "-m", "django", *arguments]
                for name, arguments in self.commands.items()
            },
        }


def facilitator(place: Place, *, allowed: list[str]) -> Service:
    """The facilitator; ``allowed`` hotkeys may submit jobs."""
    return Service(
        name=place.name,
        package="facilitator",
        host=place.host,
        port=place.port,
        stores=place.stores,
        environment={
            **_secrets("SECRET_KEY", "JWT_SECRET"),
            **_chain(place.chain_url),
        },
        preparations=[["allow_hotkey", hotkey] for hotkey in allowed],
    )


def validator(
    place: Place,
    *,
    wallet: WalletPath,
    hotkey: str,
    facilitator_url: str,
    allowed: list[str],
    trusted_miner: tuple[str, int] | None,
) -> Service:
    """A validator that takes jobs which the ``allowed`` hotkeys signed."""
    trusted = (
        {"TRUSTED_MINER_ADDRESS": trusted_miner[0], "TRUSTED_MINER_PORT": str(trusted_miner[1])}
        if trusted_miner
        else {}
    )
    return Service(
        name=place.name,
        package="validator",
        host=place.host,
        port=place.port,
        stores=place.stores,
        hotkey=hotkey,
        environment={
            **_secrets("SECRET_KEY"),
            **_chain(place.chain_url),
            **_wallet(wallet),
            **trusted,
            "FACILITATOR_URI": facilitator_url.replace("http", "ws", 1) + "/ws/v0/",
            "MANIFEST_SYNC_SECONDS": "5",
            "ALLOW_PRIVATE_MINERS": "true",
        },
        commands={"link": ["connect_facilitator"]},
        preparations=[["allow_signer", signer] for signer in allowed],
    )


def miner(
    place: Place,
    *,
    wallet: WalletPath | None,
    hotkey: str,
    slots: Mapping[str, int],
    settings: Mapping[str, str],
    trusted_validator: str | None = None,
) -> Service:
    """A miner with executors as child processes; ``trusted_validator`` makes it a trusted one.

    ``settings`` are environment variables, and come before those that it would get.
    """
    mode = (
        {"IS_LOCAL_MINER": "true", "LOCAL_MINER_VALIDATOR_PUBLIC_KEY": trusted_validator}
        if trusted_validator
        else _chain(place.chain_url)
    )
    return Service(
        name=place.name,
        package="miner",
        host=place.host,
        port=place.port,
        stores=place.stores,
        hotkey=hotkey,
        environment={
            **_secrets("SECRET_KEY"),
            **mode,
            **(_wallet(wallet) if wallet else {}),
            "BITTENSOR_MINER_ADDRESS": place.host,
            "BITTENSOR_MINER_PORT": str(place.port),
            "ADDRESS_FOR_EXECUTORS": place.host,
            "PORT_FOR_EXECUTORS": str(place.port),
            "EXECUTOR_MANAGER": "process",
            "EXECUTOR_SLOTS": ",".join(f"{name}={count}" for name, count in slots.items()),
            "EXECUTOR_LOG_DIRECTORY": str(place.folder / "logs"),
            "EXECUTOR_WORK_DIRECTORY": str(place.folder / "work"),
            "ALLOW_PRIVATE_ADDRESSES": "true",
            "STOP_ALL_ON_EXIT": "true",
            **settings,
        },
        commands={"fleet": ["run_fleet"]},
    )


def _secrets(*names: str) -> dict[str, str]:
    return {name: secrets.token_urlsafe(32) for name in names}


def _chain(url: str) -> dict[str, str]:
    return {
        "BITTENSOR_NETWORK": url,
        "BITTENSOR_NETUID": str(NETUID),
        "CHAIN_SYNC_SECONDS": "2",
    }


def _wallet(wallet: WalletPath) -> dict[str, str]:
    return {
        "BITTENSOR_WALLET_DIRECTORY": str(wallet.directory),
        "BITTENSOR_WALLET_NAME": wallet.name,
        "BITTENSOR_WALLET_HOTKEY_NAME": wallet.hotkey_name,
    }
