"""Reading what the Docker daemon answers: its refusals, its fields, its two streaming formats."""

import re
from collections.abc import AsyncIterator

from pydantic import JsonValue

from compute_horde_common.containers.docker_api import Reply
from compute_horde_common.containers.interface import (
    EngineError,
    NameTaken,
    NoSuchContainer,
    Output,
    Stream,
)

NOT_MODIFIED = 304
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409

_FRAME_HEADER_BYTES = 8
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


def check_container(container_id: str) -> None:
    """Raises ``NoSuchContainer`` for what no container can be called."""
    if not _NAME.fullmatch(container_id):
        raise NoSuchContainer(f"{container_id[:200]!r} is not the name of a container.")


def check_network(name: str) -> None:
    """Raises ``EngineError`` for what no network can be called."""
    if not _NAME.fullmatch(name):
        raise EngineError(f"{name[:200]!r} is not the name of a network.")


def refuse_failure(reply: Reply) -> None:
    """Raises what a failed reply means."""
    if not reply.failed:
        return
    if reply.status == NOT_FOUND and "network" not in reply.message:
        raise NoSuchContainer(reply.message)
    if reply.status == CONFLICT and "already exists" in reply.message:
        raise NameTaken(reply.message)
    raise EngineError(reply.message)


def field(value: JsonValue, *path: str) -> JsonValue:
    """What is there, one name after the other; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: JsonValue, *path: str, default: str | None = None) -> str:
    """The string that is there, else ``default``; ``EngineError`` where there is neither."""
    found = field(value, *path)
    if isinstance(found, str):
        return found
    if default is None:
        raise EngineError(f"The Docker daemon's answer lacks {'.'.join(path)}.")
    return default


def texts(value: JsonValue, *path: str) -> tuple[str, ...]:
    """The strings of a list, or the keys of an object, that is there; none where there is none."""
    found = field(value, *path)
    return tuple(str(item) for item in found) if isinstance(found, (list, dict)) else ()


def labels_of(item: JsonValue) -> dict[str, str]:
    """The labels of a container or network."""
    labels = field(item, "Labels")
    return {key: str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines that are not empty."""
    pending = b""
    async for piece in pieces:
        *complete, pending = (pending + piece).split(b"\n")
        for line in complete:
            if line.strip():
                yield line
    if pending.strip():
        yield pending


async def frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[Output]:
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
