"""What executors leave behind when they are killed: containers of jobs, found by their labels."""

import structlog

from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL

log = structlog.get_logger(__name__)


async def remove_of(engine: ContainerEngine, owner: str, token: str) -> None:
    """Removes the containers of one executor."""
    for container in await engine.owned({OWNER_LABEL: owner, TOKEN_LABEL: token}):
        log.warning("container was left behind", container=container.name)
        await engine.remove(container.id)


async def remove_others(engine: ContainerEngine, owner: str, tokens: frozenset[str]) -> int:
    """Removes the containers of executors that are not among ``tokens``; how many."""
    found = [
        container
        for container in await engine.owned({OWNER_LABEL: owner})
        if container.labels.get(TOKEN_LABEL) not in tokens
    ]
    for container in found:
        log.warning("container belongs to nobody", container=container.name)
        await engine.remove(container.id)
    return len(found)
