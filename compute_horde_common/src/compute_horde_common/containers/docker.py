"""The Docker daemon as a `ContainerEngine`. Needs server 20.10 or later, either cgroup version."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import JsonValue
from typing_extensions import override

from compute_horde_common.containers.docker_answers import (
    CONFLICT,
    NOT_FOUND,
    NOT_MODIFIED,
    check_container,
    field,
    frames,
    labels_of,
    refuse_failure,
    text,
    texts,
)
from compute_horde_common.containers.docker_api import DaemonApi, Reply
from compute_horde_common.containers.docker_config import container_config
from compute_horde_common.containers.docker_images import DockerImages, image_parts
from compute_horde_common.containers.docker_networks import DockerNetworks
from compute_horde_common.containers.excerpt import Excerpt
from compute_horde_common.containers.interface import (
    DEFAULT_ADDRESS,
    ContainerEngine,
    ContainerFailedToStart,
    ContainerSpec,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    Exit,
    ImageNotFound,
    Logs,
    NameTaken,
    NoSuchContainer,
    Output,
    Owned,
    Stream,
)

_KILLED = 137  # 128 + SIGKILL


class DockerEngine(DockerImages, DockerNetworks, ContainerEngine):
    """One daemon. Use it as ``async with``, within one event loop."""

    def __init__(self, address: str = DEFAULT_ADDRESS) -> None:
        super().__init__(DaemonApi(address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drops the connections; containers go on."""
        await self._api.close()

    @override
    async def ping(self) -> None:
        reply = await self._api.call("GET", "/_ping", seconds=5)
        if reply.failed:
            raise EngineUnavailable(reply.message)

    @override
    async def info(self) -> EngineInfo:
        reply = await self._api.call("GET", "/info")
        refuse_failure(reply)
        found = reply.json
        return EngineInfo(
            version=text(found, "ServerVersion"),
            kernel=text(found, "KernelVersion"),
            cgroup_version=text(found, "CgroupVersion", default="1"),
            security_options=texts(found, "SecurityOptions"),
            runtimes=texts(found, "Runtimes"),
            storage_driver=text(found, "Driver", default=""),
            operating_system=text(found, "OSType", default=""),
            architecture=text(found, "Architecture", default=""),
            runc=text(found, "RuncCommit", "ID", default=""),
        )

    @override
    async def create(self, spec: ContainerSpec) -> str:
        image_parts(spec.image)
        check_container(spec.name)
        reply = await self._api.call(
            "POST", "/containers/create", {"name": spec.name}, body=container_config(spec)
        )
        if reply.status == NOT_FOUND:
            raise ImageNotFound(reply.message)
        if reply.status == CONFLICT:
            raise NameTaken(reply.message)
        refuse_failure(reply)
        return text(reply.json, "Id")

    @override
    async def start(self, container_id: str) -> None:
        reply = await self._container("POST", container_id, "/start")
        if not reply.failed:
            return
        if reply.status == NOT_FOUND and "No such container" in reply.message:
            raise NoSuchContainer(reply.message)
        raise ContainerFailedToStart(reply.message)

    @override
    async def wait(self, container_id: str) -> Exit:
        # After a start, "not running" is true at the end and stays so: nothing can be missed.
        reply = await self._container(
            "POST", container_id, "/wait", {"condition": "not-running"}, seconds=None
        )
        refuse_failure(reply)
        code = field(reply.json, "StatusCode")
        if not isinstance(code, int):
            raise EngineError("The Docker daemon reports an end without an exit status.")
        if code != _KILLED:
            return Exit(code, oom_killed=False)
        return Exit(code, oom_killed=await self._was_out_of_memory(container_id))

    @override
    async def logs(self, container_id: str, *, head_bytes: int, tail_bytes: int) -> Logs:
        kept = {stream: Excerpt(head_bytes, tail_bytes) for stream in Stream}
        async with aclosing(self._outputs(container_id, follow=False)) as outputs:
            async for output in outputs:
                kept[output.stream].feed(output.data)
        return Logs(kept[Stream.STDOUT].text(), kept[Stream.STDERR].text())

    @override
    def follow(self, container_id: str) -> AsyncIterator[Output]:
        return self._outputs(container_id, follow=True)

    @override
    async def stop(self, container_id: str, *, grace: float) -> None:
        seconds = max(0, round(grace))
        reply = await self._container(
            "POST", container_id, "/stop", {"t": str(seconds)}, seconds=seconds + 60
        )
        if reply.status not in {NOT_MODIFIED, NOT_FOUND}:
            refuse_failure(reply)

    @override
    async def kill(self, container_id: str) -> None:
        reply = await self._container("POST", container_id, "/kill")
        if reply.status not in {NOT_FOUND, CONFLICT}:
            refuse_failure(reply)

    @override
    async def remove(self, container_id: str) -> None:
        reply = await self._container("DELETE", container_id, "", {"force": "1", "v": "1"})
        if reply.status == CONFLICT:
            # Somebody else is removing it; it is gone when they are done.
            reply = await self._container("POST", container_id, "/wait", {"condition": "removed"})
        if reply.status != NOT_FOUND:
            refuse_failure(reply)

    @override
    async def owned(self, labels: Mapping[str, str]) -> list[Owned]:
        wanted = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        reply = await self._api.call("GET", "/containers/json", {"all": "1", "filters": wanted})
        refuse_failure(reply)
        found = reply.json
        return [_owned(item) for item in found] if isinstance(found, list) else []

    @override
    async def space_used(self, container_id: str) -> int:
        reply = await self._container("GET", container_id, "/json", {"size": "1"})
        refuse_failure(reply)
        size = field(reply.json, "SizeRw")
        return size if isinstance(size, int) else 0

    async def _container(
        self,
        method: str,
        container_id: str,
        verb: str,
        query: Mapping[str, str] | None = None,
        *,
        seconds: float | None = 120,
    ) -> Reply:
        check_container(container_id)
        return await self._api.call(
            method, f"/containers/{container_id}{verb}", query, seconds=seconds
        )

    async def _was_out_of_memory(self, container_id: str) -> bool:
        reply = await self._container("GET", container_id, "/json")
        refuse_failure(reply)
        return field(reply.json, "State", "OOMKilled") is True

    async def _outputs(self, container_id: str, *, follow: bool) -> AsyncGenerator[Output, None]:
        check_container(container_id)
        query = {"stdout": "1", "stderr": "1", "follow": "1" if follow else "0"}
        path = f"/containers/{container_id}/logs"
        async with self._api.stream("GET", path, query) as answer:
            if isinstance(answer, Reply):
                refuse_failure(answer)
                return
            async for output in frames(answer):
                yield output


def _owned(item: JsonValue) -> Owned:
    names = field(item, "Names")
    created = field(item, "Created")
    return Owned(
        id=text(item, "Id"),
        name=str(names[0]).removeprefix("/") if isinstance(names, list) and names else "",
        labels=labels_of(item),
        state=text(item, "State"),
        created=datetime.fromtimestamp(created if isinstance(created, int) else 0, UTC),
    )
