"""Chooses the implementations: keys from wallet files, the chain by bittensor, executor managers
by name, the system's clock."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from importlib.metadata import entry_points

import psycopg
import structlog
from redis import Redis
from redis.exceptions import RedisError

from compute_horde_common.chain.interface import Chain
from compute_horde_common.chain.keys import Hotkey, is_ss58, verify
from compute_horde_common.clock import Clock, SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.jobs.executor_classes import known_classes
from compute_horde_common.protocol.signatures import Signer
from compute_horde_common.protocol.validator_miner import TRUSTED_MINER_HOTKEY
from miner.config import config
from miner.domain.slots import gpu_share, startup_seconds
from miner.fleet.docker import DockerManager
from miner.fleet.interface import ENTRY_POINTS, ExecutorManager, FleetError, Setting
from miner.fleet.process import ProcessManager

__all__ = ["chain", "clock", "is_ss58", "verify"]

log = structlog.get_logger(__name__)

REDIS_SECONDS = 2.0
_ANNOUNCED = "miner.announced"
_GUEST = "miner.guest."
_BUILT_IN: Mapping[str, Callable[[Setting], ExecutorManager]] = {
    "docker": DockerManager,
    "process": ProcessManager,
}


def clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


@cache
def hotkey() -> Hotkey:
    """The miner's own key.

    Raises:
        WalletUnreadable: its file cannot be read.
    """
    return Hotkey.from_wallet(*config.wallet)


def signer() -> Signer | None:
    """Who signs for this miner; a trusted miner has no key."""
    return None if config.is_local_miner else hotkey()


def address() -> str:
    """The hotkey under which validators know us."""
    return TRUSTED_MINER_HOTKEY if config.is_local_miner else hotkey().ss58


def chain() -> Chain:
    """A connection to the chain as our hotkey. Close it after use."""
    # The library takes seconds to import, and only two tasks need it.
    from compute_horde_common.chain.bittensor import BittensorChain  # noqa: PLC0415

    return BittensorChain(config.bittensor_network, config.bittensor_netuid, hotkey())


def chain_for_reading() -> Chain:
    """A connection to the chain as nobody. Close it after use.

    Raises:
        ValueError: there is no network of that name.
    """
    from compute_horde_common.chain.bittensor import BittensorChain  # noqa: PLC0415 - see above

    return BittensorChain(config.bittensor_network, config.bittensor_netuid)


def first_time(what: str, seconds: int) -> bool:
    """Whether this was not said within the last ``seconds``, to any of our processes.

    Raises:
        RedisError: nobody knows.
    """
    key = "miner.seen." + hashlib.sha256(what.encode()).hexdigest()
    return bool(_redis().set(key, b"", nx=True, ex=seconds))


def new_guest(seconds: int) -> Signer:
    """A key of nobody's that is let in like a validator's for so long.

    Raises:
        RedisError: nobody can be let in.
    """
    guest = Hotkey.generate()
    _redis().set(_GUEST + guest.ss58, b"", ex=seconds)
    return guest


def is_guest(ss58: str) -> bool:
    """Whether a key is one of `new_guest`, and its time not over."""
    try:
        return is_ss58(ss58) and bool(_redis().exists(_GUEST + ss58))
    except RedisError as error:
        log.warning("guests not known", error=str(error))
        return False


def dismiss_guest(ss58: str) -> None:
    """Lets a guest in no longer; it would be so by itself after a while."""
    with suppress(RedisError):
        _redis().delete(_GUEST + ss58)


def remember_announced(host: str) -> None:
    """Notes under which address this miner is known to the chain, as well as it can."""
    try:
        _redis().set(_ANNOUNCED, host)
    except RedisError as error:
        log.warning("announced address not noted", error=str(error))


def announced() -> str | None:
    """Under which address this miner is known to the chain, if we know."""
    if config.bittensor_miner_address != "auto":
        return config.bittensor_miner_address
    try:
        found = _redis().get(_ANNOUNCED)
    except RedisError as error:
        log.warning("announced address not known", error=str(error))
        return None
    return found.decode() if isinstance(found, bytes) else None


@cache
def _redis() -> Redis:
    return Redis.from_url(
        str(config.redis_url), socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )


@cache
def owner() -> str:
    """What marks everything of this miner on its hosts; the same after every restart."""
    secret = f"{config.secret_key.get_secret_value()} {config.database_url}"
    return hashlib.sha256(f"executors of {secret}".encode()).hexdigest()[:16]


def new_token() -> str:
    """An executor's only credential."""
    return f"{uuid.uuid4()}-{uuid.uuid4()}"


def executor_environment(token: str, class_name: str, index: int) -> Mapping[str, str]:
    """What the executor in a class's slot is told. None of our secrets is in it."""
    told = {
        **config.executor_environment,
        "MINER_ADDRESS": config.executors_dial,
        "EXECUTOR_TOKEN": token,
        "EXECUTOR_CLASS": class_name,
        "EXECUTOR_OWNER": owner(),
        "STARTUP_TIME_LIMIT": str(startup_seconds(class_name)),
        "ALLOW_PRIVATE_ADDRESSES": str(config.allow_private_addresses).lower(),
        "DEBUG_NO_GPU_MODE": str(config.debug_no_gpu_mode).lower(),
        "LOG_LEVEL": config.log_level.upper(),
        "LOG_FORMAT": config.log_format,
    }
    if gpus := gpu_share(config.executor_gpus, config.gpu_slots, class_name, index):
        told["EXECUTOR_GPUS"] = ",".join(gpus)
    if config.extra_executor_classes:
        extra = ",".join(spec.model_dump_json() for spec in config.extra_executor_classes)
        told["EXTRA_EXECUTOR_CLASSES"] = f"[{extra}]"
    return told


def engine() -> AbstractAsyncContextManager[ContainerEngine]:
    """The container engine of this host."""
    return DockerEngine(config.docker_host)


@asynccontextmanager
async def executor_manager() -> AsyncIterator[ExecutorManager]:
    """The configured manager of executors.

    Raises:
        FleetError: there is none of that name.
    """
    async with DockerEngine(config.docker_host) as engine:
        setting = Setting(
            owner=owner(),
            engine=engine,
            image=config.executor_image,
            network=config.executor_network,
            work_directory=config.executor_work_directory,
            log_directory=config.executor_log_directory,
            docker_address=config.docker_host,
        )
        yield _manager(config.executor_manager, setting)


def _manager(name: str, setting: Setting) -> ExecutorManager:
    for plugin in entry_points(group=ENTRY_POINTS, name=name):
        make: Callable[[Setting], ExecutorManager] = plugin.load()
        return make(setting)
    if name in _BUILT_IN:
        return _BUILT_IN[name](setting)
    raise FleetError(
        f"there is no executor manager {name!r}. Known: {', '.join(_BUILT_IN)} and entry points"
        f" of the group {ENTRY_POINTS}"
    )


@asynccontextmanager
async def sole_owner(key: int) -> AsyncIterator[bool]:
    """Whether we are the only process that owns the fleet; true until the end of the block.

    A lock of PostgreSQL's, which ends with our process whatever becomes of it.
    """
    url = str(config.database_url)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute("SELECT pg_try_advisory_lock(%s)", [key])
        row = await found.fetchone()
        yield bool(row and row[0])


def offered_classes() -> Mapping[str, int]:
    """How many executors of each class are configured."""
    return {
        spec.name: config.slots[spec.name]
        for spec in known_classes()
        if config.slots.get(spec.name)
    }


class Ourselves:
    """What this miner says of itself."""

    def manifest(self) -> Mapping[str, int]:
        """How many executors of each class are offered."""
        return offered_classes()

    def main_hotkey(self) -> str | None:
        """The coldkey's main hotkey; a trusted miner has none."""
        return None if config.is_local_miner else address()
