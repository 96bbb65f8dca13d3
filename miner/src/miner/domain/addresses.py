"""Where the clients of a streaming job reach its executor."""

from ipaddress import ip_address


def clients_address(
    seen_from: str, *, configured: str | None, beside_us: bool, announced: str | None
) -> str:
    """The address of an executor whose manager does not know it.

    Args:
        seen_from: where it connects from.
        configured: what the operator says of all executors.
        beside_us: executors are known to be on our own host: ``seen_from`` is a container's.
        announced: where the chain says that we are ourselves.
    """
    if configured is not None:
        return configured
    if not beside_us and not _is_loopback(seen_from):
        return seen_from
    return announced or seen_from


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
