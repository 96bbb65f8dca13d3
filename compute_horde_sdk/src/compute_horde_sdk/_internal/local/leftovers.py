"""What executors cannot remove: containers, networks and files of one that was killed, and files of
a job that ran as root where its executor does not.

Docker is asked over its HTTP API. An executor's token names its client's process, so that what a
killed one has left is known as such by the next.
"""

import asyncio
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from compute_horde_common.containers.labels import TOKEN_LABEL, job_folder_name

WHERE: Final = "/leftovers"
LIMIT_SECONDS: Final = 60.0
_UNIX = "unix://"
_PROGRAMS = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]

logger = logging.getLogger(__name__)


def new_token() -> str:
    """A token for an executor of this process."""
    return f"{_prefix()}{os.getpid()}-{secrets.token_hex(16)}"


async def sweep(docker_host: str, work_dir: Path) -> None:
    """Removes what is left of jobs of this user whose client is no more."""
    for token in await asyncio.to_thread(lambda: list(_orphans(work_dir))):
        await remove_leftovers(docker_host, token, work_dir)


async def remove_leftovers(docker_host: str, token: str, work_dir: Path) -> None:
    """Removes what an executor that is gone has left. Its folder goes last: without it, there is
    nothing else."""
    folder = work_dir / job_folder_name(token)
    if not await asyncio.to_thread(folder.exists):
        return
    try:
        async with _docker(docker_host) as docker:
            await _remove_labelled(docker, token)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            if await asyncio.to_thread(folder.exists):
                await _empty_as_root(docker, folder)
                await asyncio.to_thread(shutil.rmtree, folder)
    except (httpx.HTTPError, LookupError, OSError) as error:
        logger.warning("something of a local job is left in %s: %s", folder, error)


def _prefix() -> str:
    """Of the tokens of this machine's or container's processes."""
    return f"local-{Path('/proc/self/ns/pid').stat().st_ino}-"


def _orphans(work_dir: Path) -> Iterator[str]:
    prefix = _prefix()
    for folder in work_dir.glob(job_folder_name(f"{prefix}*")):
        token = prefix + folder.name.rpartition(prefix)[2]
        client = token.removeprefix(prefix).partition("-")[0]
        is_ours = folder.stat().st_uid == os.geteuid()
        if is_ours and not Path("/proc", client).exists():
            yield token


def _docker(address: str) -> httpx.AsyncClient:
    if address.startswith(_UNIX):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix(_UNIX))
        return httpx.AsyncClient(
            transport=transport, base_url="http://docker", timeout=LIMIT_SECONDS
        )
    url = address.replace("tcp://", "http://")
    return httpx.AsyncClient(base_url=url, timeout=LIMIT_SECONDS, trust_env=False)


async def _remove_labelled(docker: httpx.AsyncClient, token: str) -> None:
    wanted = {"filters": json.dumps({"label": [f"{TOKEN_LABEL}={token}"]})}
    for container in await _get(docker, "/containers/json", {**wanted, "all": "true"}):
        await docker.delete(f"/containers/{container['Id']}", params={"force": "true"})
    for network in await _get(docker, "/networks", wanted):
        await docker.delete(f"/networks/{network['Id']}")


async def _empty_as_root(docker: httpx.AsyncClient, folder: Path) -> None:
    """Removes what is in a folder, with this machine's own ``rm``. Of the image, nothing is run: it
    is only that no container is without one."""
    programs = [f"{path}:{path}:ro" for path in _PROGRAMS]
    images = await _get(docker, "/images/json", {})
    asked = {
        "Image": images[0]["Id"],
        "User": "0",
        "Entrypoint": ["/bin/rm", "-rf", WHERE],
        "Cmd": [],
        "HostConfig": {"Binds": [*programs, f"{folder}:{WHERE}"], "NetworkMode": "none"},
    }
    made = (await docker.post("/containers/create", json=asked)).raise_for_status().json()["Id"]
    try:
        (await docker.post(f"/containers/{made}/start")).raise_for_status()
        await docker.post(f"/containers/{made}/wait")
    finally:
        await docker.delete(f"/containers/{made}", params={"force": "true"})


async def _get(
    docker: httpx.AsyncClient, path: str, params: dict[str, str]
) -> list[dict[str, Any]]:
    answer = (await docker.get(path, params=params)).raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found
