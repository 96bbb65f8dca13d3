"""Ends a network by its description, from another process than the one that started it."""

from compute_horde_devnet.processes import stop
from compute_horde_devnet.state import NetworkState

_DATABASES = {"postgres", "redis"}


def remove_leftovers(state: NetworkState) -> None:
    """Stops every process of the network that still runs.

    Miners first, because they end their executors and containers; databases last.
    """
    children = [info.child() for info in state.processes]
    stop([child for child in children if "miner" in child.name])
    stop([child for child in children if child.name not in _DATABASES])
    stop(children)
