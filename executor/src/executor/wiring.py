"""Which implementations an executor uses.

The HTTP client is imported when a job first needs it: that takes 0.2 s of CPU, and most jobs have
neither URLs to read nor to write to. So is the hub's client, which takes 0.4 s, and what makes
certificates.
"""

import ssl
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from compute_horde_common.containers.docker import DockerEngine
from executor.config import ExecutorConfig
from executor.nvml import Nvml

if TYPE_CHECKING:
    from compute_horde_common.transfer.cache import InputCache
    from compute_horde_common.transfer.fetch import Fetcher
    from compute_horde_common.transfer.huggingface import Hub
    from compute_horde_common.transfer.send import Sender
    from executor.streaming.certificates import Identity

log = structlog.get_logger(__name__)


def container_engine(config: ExecutorConfig) -> DockerEngine:
    """The Docker daemon of the environment; use it as ``async with``."""
    return DockerEngine(config.docker_address)


def fetcher(config: ExecutorConfig) -> "Fetcher":
    """For one job's downloads; use it as ``async with``."""
    from compute_horde_common.transfer.fetch import Fetcher  # noqa: PLC0415 - see the module
    from compute_horde_common.transfer.guard import AddressGuard  # noqa: PLC0415

    guard = AddressGuard(allow_private=config.allow_private_addresses)
    return Fetcher(guard, input_cache(config))


def input_cache(config: ExecutorConfig) -> "InputCache | None":
    """Where inputs are kept for later jobs, if the operator wants that."""
    from compute_horde_common.transfer.cache import InputCache  # noqa: PLC0415 - see the module

    if config.input_cache is None:
        return None
    return InputCache(
        config.input_cache,
        config.input_cache_bytes,
        complain=lambda why: log.warning("input not cached", why=why),
    )


def hub(config: ExecutorConfig, fetcher: "Fetcher") -> "Hub":
    """The Hugging Face hub of the environment, asked through ``fetcher``."""
    from compute_horde_common.transfer.huggingface import Hub  # noqa: PLC0415 - see the module

    return Hub(config.hub_url, fetcher, config.hub_token)


def sender(config: ExecutorConfig) -> "Sender":
    """For one job's uploads; use it as ``async with``."""
    from compute_horde_common.transfer.guard import AddressGuard  # noqa: PLC0415 - see the module
    from compute_horde_common.transfer.send import Sender  # noqa: PLC0415

    return Sender(AddressGuard(allow_private=config.allow_private_addresses))


def nvidia_library() -> Nvml | None:
    """NVIDIA's library for its GPUs, where the driver has brought it."""
    import ctypes  # noqa: PLC0415 - see the module

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    import pynvml  # type: ignore[import-untyped]  # noqa: PLC0415 - has no types; see the module

    library: Nvml = pynvml
    return library


def new_identity(host: str | None, now: datetime) -> "Identity":
    """Who a streaming job's TLS server is; ``ValueError`` for a host that no certificate names."""
    from executor.streaming import certificates  # noqa: PLC0415 - see the module

    return certificates.new_identity(host, now)


def client_context(identity: "Identity", certificate: str) -> tuple[bytes, ssl.SSLContext]:
    """A client's certificate as DER, and the TLS that lets in nobody else; ``ValueError`` or
    ``ssl.SSLError`` if the text is none."""
    from executor.streaming import certificates  # noqa: PLC0415 - see the module

    client = certificates.pinned_der(certificate)
    return client, certificates.server_context(identity, client)
