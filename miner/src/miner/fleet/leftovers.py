"""What executors leave behind when they are killed: containers of jobs, found by their labels, and
folders of job files, found by their names."""

import asyncio
from pathlib import Path

import structlog

from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL, job_folder_name
from compute_horde_common.transfer.removal import remove_tree

log = structlog.get_logger(__name__)


async def remove_of(engine: ContainerEngine, owner: str, token: str, work: Path) -> None:
    """Removes the containers of one executor, and its folder below ``work``.

    Raises:
        EngineError: the container engine does not do it.
        StorageFailed: the folder cannot be removed.
    """
    for container in await engine.owned({OWNER_LABEL: owner, TOKEN_LABEL: token}):
        log.warning("container was left behind", container=container.name)
        await engine.remove(container.id)
    await asyncio.to_thread(remove_tree, work / job_folder_name(token))


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
