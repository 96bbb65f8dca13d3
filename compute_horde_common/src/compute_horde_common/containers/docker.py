"""The Docker daemon as a `ContainerEngine`. Needs server 20.10 or later, either cgroup version."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import JsonValue
from typing_extensions import override

from compute_horde_common.containers.docker_api import DaemonApi, Reply, parsed
from compute_horde_common.containers.docker_config import container_config
from compute_horde_common.containers.excerpt import Excerpt
from compute_horde_common.containers.interface import (
    ContainerEngine,
    ContainerFailedToStart,
    ContainerSpec,
    EngineError,
    EngineUnavailable,
    Exit,
    ImageNotFound,
    Logs,
    NameTaken,
    NoSuchContainer,
    Output,
    Owned,
    PullFailed,
    Stream,
)

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"

_NOT_MODIFIED = 304
_NOT_FOUND = 404
_CONFLICT = 409
_KILLED = 137  # 128 + SIGKILL
_FRAME_HEADER_BYTES = 8
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
_MAX_IMAGE_NAME = 500
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_IMAGE = re.compile(
    r"(?P<name>"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*)*"
    r")"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[a-f0-9]{64}))?"
)
_MISSING_IMAGE_WORDS = ("not found", "manifest unknown", "does not exist", "access denied")


class DockerEngine(ContainerEngine):
    """One daemon. Use it as ``async with``, within one event loop."""

    def __init__(self, address: str = DEFAULT_ADDRESS) -> None:
        self._api = DaemonApi(address)

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
    async def has_image(self, image: str) -> bool:
        _image_parts(image)
        reply = await self._api.call("GET", f"/images/{image}/json")
        if reply.status == _NOT_FOUND:
            return False
        _refuse_failure(reply)
        return True

    @override
    async def pull(self, image: str) -> None:
        name, tag = _image_parts(image)
        query = {"fromImage": name, "tag": tag}
        async with self._api.stream("POST", "/images/create", query) as answer:
            if isinstance(answer, Reply):
                raise _pull_failure(image, answer.message, missing=answer.status == _NOT_FOUND)
            async for line in _lines(answer):
                _refuse_pull_error(image, parsed(line))

    @override
    async def create(self, spec: ContainerSpec) -> str:
        _image_parts(spec.image)
        _check_container(spec.name)
        reply = await self._api.call(
            "POST", "/containers/create", {"name": spec.name}, body=container_config(spec)
        )
        if reply.status == _NOT_FOUND:
            raise ImageNotFound(reply.message)
        if reply.status == _CONFLICT:
            raise NameTaken(reply.message)
        _refuse_failure(reply)
        return _text(reply.json, "Id")

    @override
    async def start(self, container_id: str) -> None:
        reply = await self._container("POST", container_id, "/start")
        if not reply.failed:
            return
        if reply.status == _NOT_FOUND and "No such container" in reply.message:
            raise NoSuchContainer(reply.message)
        raise ContainerFailedToStart(reply.message)

    @override
    async def wait(self, container_id: str) -> Exit:
        # After a start, "not running" is true at the end and stays so: nothing can be missed.
        reply = await self._container(
            "POST", container_id, "/wait", {"condition": "not-running"}, seconds=None
        )
        _refuse_failure(reply)
        code = _field(reply.json, "StatusCode")
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
        if reply.status not in {_NOT_MODIFIED, _NOT_FOUND}:
            _refuse_failure(reply)

    @override
    async def kill(self, container_id: str) -> None:
        reply = await self._container("POST", container_id, "/kill")
        if reply.status not in {_NOT_FOUND, _CONFLICT}:
            _refuse_failure(reply)

    @override
    async def remove(self, container_id: str) -> None:
        reply = await self._container("DELETE", container_id, "", {"force": "1", "v": "1"})
        if reply.status == _CONFLICT:
            # Somebody else is removing it; it is gone when they are done.
            reply = await self._container("POST", container_id, "/wait", {"condition": "removed"})
        if reply.status != _NOT_FOUND:
            _refuse_failure(reply)

    @override
    async def owned(self, labels: Mapping[str, str]) -> list[Owned]:
        wanted = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        reply = await self._api.call("GET", "/containers/json", {"all": "1", "filters": wanted})
        _refuse_failure(reply)
        found = reply.json
        return [_owned(item) for item in found] if isinstance(found, list) else []

    async def import_image(self, image: str, archive: bytes, changes: tuple[str, ...]) -> None:
        """Makes a local image from a tar archive; ``changes`` are lines as in a Dockerfile."""
        name, tag = _image_parts(image)
        query = [("fromSrc", "-"), ("repo", name), ("tag", tag)]
        query += [("changes", change) for change in changes]
        reply = await self._api.call("POST", "/images/create", query, content=archive)
        _refuse_failure(reply)
        for line in reply.body.splitlines():
            _refuse_pull_error(image, parsed(line))

    async def remove_image(self, image: str) -> None:
        """Removes a local name of an image; a missing one is fine."""
        _image_parts(image)
        reply = await self._api.call("DELETE", f"/images/{image}", {"force": "1"})
        if reply.status != _NOT_FOUND:
            _refuse_failure(reply)

    async def _container(
        self,
        method: str,
        container_id: str,
        verb: str,
        query: Mapping[str, str] | None = None,
        *,
        seconds: float | None = 120,
    ) -> Reply:
        _check_container(container_id)
        return await self._api.call(
            method, f"/containers/{container_id}{verb}", query, seconds=seconds
        )

    async def _was_out_of_memory(self, container_id: str) -> bool:
        reply = await self._container("GET", container_id, "/json")
        _refuse_failure(reply)
        return _field(_field(reply.json, "State"), "OOMKilled") is True

    async def _outputs(self, container_id: str, *, follow: bool) -> AsyncGenerator[Output, None]:
        _check_container(container_id)
        query = {"stdout": "1", "stderr": "1", "follow": "1" if follow else "0"}
        path = f"/containers/{container_id}/logs"
        async with self._api.stream("GET", path, query) as answer:
            if isinstance(answer, Reply):
                _refuse_failure(answer)
                return
            async for output in _frames(answer):
                yield output


def _image_parts(image: str) -> tuple[str, str]:
    """Name and tag or digest; raises ``ImageNotFound`` for what no image can be called."""
    match = _IMAGE.fullmatch(image) if len(image) <= _MAX_IMAGE_NAME else None
    if match is None:
        raise ImageNotFound(f"{image[:200]!r} is not the name of an image.")
    return match["name"], match["digest"] or match["tag"] or "latest"


def _check_container(container_id: str) -> None:
    if not _CONTAINER.fullmatch(container_id):
        raise NoSuchContainer(f"{container_id[:200]!r} is not the name of a container.")


def _refuse_failure(reply: Reply) -> None:
    if not reply.failed:
        return
    if reply.status == _NOT_FOUND:
        raise NoSuchContainer(reply.message)
    raise EngineError(reply.message)


def _refuse_pull_error(image: str, progress: JsonValue) -> None:
    error = _field(progress, "error")
    if isinstance(error, str):
        raise _pull_failure(image, error, missing=False)


def _pull_failure(image: str, message: str, *, missing: bool) -> EngineError:
    text = f"{image}: {message[:1000]}"
    if missing or any(words in message.lower() for words in _MISSING_IMAGE_WORDS):
        return ImageNotFound(text)
    return PullFailed(text)


def _owned(item: JsonValue) -> Owned:
    names = _field(item, "Names")
    labels = _field(item, "Labels")
    created = _field(item, "Created")
    return Owned(
        id=_text(item, "Id"),
        name=str(names[0]).removeprefix("/") if isinstance(names, list) and names else "",
        labels={k: str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
        state=_text(item, "State"),
        created=datetime.fromtimestamp(created if isinstance(created, int) else 0, UTC),
    )


def _field(value: JsonValue, name: str) -> JsonValue:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: JsonValue, name: str) -> str:
    found = _field(value, name)
    if not isinstance(found, str):
        raise EngineError(f"The Docker daemon's answer lacks {name}.")
    return found


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = b""
    async for piece in pieces:
        *complete, pending = (pending + piece).split(b"\n")
        for line in complete:
            if line.strip():
                yield line
    if pending.strip():
        yield pending


async def _frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[Output]:
    """Docker's multiplexed format: a header of stream and size, then that many bytes."""
    rest = b""
    async for piece in pieces:
        buffer, start = rest + piece, 0
        while len(buffer) - start >= _FRAME_HEADER_BYTES:
            size = int.from_bytes(buffer[start + 4 : start + _FRAME_HEADER_BYTES], "big")
            end = start + _FRAME_HEADER_BYTES + size
            if end > len(buffer):
                break
            stream = _STREAMS.get(buffer[start], Stream.STDOUT)
            yield Output(stream, buffer[start + _FRAME_HEADER_BYTES : end])
            start = end
        rest = buffer[start:]
