"""What executors leave behind when they are killed: containers and networks of jobs, found by their
labels, and folders of job files, found by their names."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from compute_horde_common.containers.interface import ContainerEngine
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL, job_folder_name
from compute_horde_common.transfer.removal import remove_tree

log = structlog.get_logger(__name__)


async def remove_of(engine: ContainerEngine, owner: str, token: str, work: Path) -> None:
    """Removes the containers and networks of one executor, and its folder below ``work``.

    Raises:
        EngineError: the container engine does not do it.
        StorageFailed: the folder cannot be removed.
    """
    await _remove(engine, {OWNER_LABEL: owner, TOKEN_LABEL: token})
    await asyncio.to_thread(remove_tree, work / job_folder_name(token))


async def remove_others(engine: ContainerEngine, owner: str, tokens: frozenset[str]) -> int:
    """Removes the containers and networks of executors that are not among ``tokens``; how many
    things that were."""
    return await _remove(engine, {OWNER_LABEL: owner}, spared=tokens)


async def _remove(
    engine: ContainerEngine, labels: Mapping[str, str], spared: frozenset[str] = frozenset()
) -> int:
    containers = [
        found for found in await engine.owned(labels) if found.labels.get(TOKEN_LABEL) not in spared
    ]
    for container in containers:
        log.warning("container was left behind", container=container.name)
        await engine.remove(container.id)
    networks = [
        found
        for found in await engine.owned_networks(labels)
        if found.labels.get(TOKEN_LABEL) not in spared
    ]
    for network in networks:
        log.warning("network was left behind", network=network.name)
        await engine.remove_network(network.id)
    return len(containers) + len(networks)
