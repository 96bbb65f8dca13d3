"""Which implementations an executor uses.

The HTTP client is imported when a job first needs it: that takes 0.2 s of CPU, and most jobs have
neither URLs to read nor to write to.
"""

from typing import TYPE_CHECKING

from compute_horde_common.containers.docker import DockerEngine
from executor.config import ExecutorConfig

if TYPE_CHECKING:
    from compute_horde_common.transfer.fetch import Fetcher
    from compute_horde_common.transfer.send import Sender


def container_engine(config: ExecutorConfig) -> DockerEngine:
    """The Docker daemon of the environment; use it as ``async with``."""
    return DockerEngine(config.docker_address)


def fetcher(config: ExecutorConfig) -> "Fetcher":
    """For one job's downloads; use it as ``async with``."""
    from compute_horde_common.transfer.fetch import Fetcher  # noqa: PLC0415 - see the module
    from compute_horde_common.transfer.guard import AddressGuard  # noqa: PLC0415

    return Fetcher(AddressGuard(allow_private=config.allow_private_addresses))


def sender(config: ExecutorConfig) -> "Sender":
    """For one job's uploads; use it as ``async with``."""
    from compute_horde_common.transfer.guard import AddressGuard  # noqa: PLC0415 - see the module
    from compute_horde_common.transfer.send import Sender  # noqa: PLC0415

    return Sender(AddressGuard(allow_private=config.allow_private_addresses))
