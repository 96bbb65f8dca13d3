"""The images of a Docker daemon."""

import base64
import json
from collections.abc import Callable

from pydantic import JsonValue
from typing_extensions import override

from compute_horde_common.containers.docker_answers import NOT_FOUND, field, lines, refuse_failure
from compute_horde_common.containers.docker_api import DaemonApi, Reply, parsed
from compute_horde_common.containers.image_name import ImageName
from compute_horde_common.containers.interface import (
    EngineError,
    ImageNotFound,
    Images,
    PullFailed,
    PullProgress,
    RegistryLogin,
)

_MISSING_IMAGE_WORDS = ("not found", "manifest unknown", "does not exist", "access denied")


class DockerImages(Images):
    """Those of one daemon."""

    def __init__(self, api: DaemonApi) -> None:
        self._api = api

    @override
    async def has_image(self, image: str) -> bool:
        image_parts(image)
        reply = await self._api.call("GET", f"/images/{image}/json")
        if reply.status == NOT_FOUND:
            return False
        refuse_failure(reply)
        return True

    @override
    async def pull(
        self,
        image: str,
        *,
        credentials: RegistryLogin | None = None,
        watch: Callable[[PullProgress], None] | None = None,
    ) -> None:
        name, tag = image_parts(image)
        query = {"fromImage": name, "tag": tag}
        headers = login_header(credentials)
        progress = _Layers()
        async with self._api.stream("POST", "/images/create", query, headers) as answer:
            if isinstance(answer, Reply):
                raise _pull_failure(image, answer.message, missing=answer.status == NOT_FOUND)
            async for line in lines(answer):
                step = parsed(line)
                _refuse_pull_error(image, step)
                if progress.hear(step) and watch is not None:
                    watch(progress.now())

    async def import_image(self, image: str, archive: bytes, changes: tuple[str, ...]) -> None:
        """Makes a local image from a tar archive; ``changes`` are lines as in a Dockerfile."""
        name, tag = image_parts(image)
        query = [("fromSrc", "-"), ("repo", name), ("tag", tag)]
        query += [("changes", change) for change in changes]
        reply = await self._api.call("POST", "/images/create", query, content=archive)
        refuse_failure(reply)
        for line in reply.body.splitlines():
            _refuse_pull_error(image, parsed(line))

    async def remove_image(self, image: str) -> None:
        """Removes a local name of an image; a missing one is fine."""
        image_parts(image)
        reply = await self._api.call("DELETE", f"/images/{image}", {"force": "1"})
        if reply.status != NOT_FOUND:
            refuse_failure(reply)


class _Layers:
    """How far the layers of one image are, each known by its id in the daemon's stream."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def hear(self, step: JsonValue) -> bool:
        """Takes in one step; whether it says anything of a layer."""
        layer, status = field(step, "id"), field(step, "status")
        if not isinstance(layer, str):
            return False
        if status == "Downloading":
            done = _size(step, "current")
            self._done[layer] = max(done, self._done.get(layer, 0))
            self._total[layer] = max(done, _size(step, "total"), self._total.get(layer, 0))
        if status in {"Download complete", "Extracting", "Pull complete"}:
            self._done[layer] = self._total.get(layer, 0)
        return True

    def now(self) -> PullProgress:
        """The sums."""
        return PullProgress(sum(self._done.values()), sum(self._total.values()))


def image_parts(image: str) -> tuple[str, str]:
    """Name and tag or digest; raises ``ImageNotFound`` for what no image can be called."""
    try:
        name = ImageName.parse(image)
    except ValueError as fault:
        raise ImageNotFound(str(fault)) from None
    return name.path, name.digest or name.tag or ""


def login_header(credentials: RegistryLogin | None) -> list[tuple[str, str]]:
    """How the daemon is told of a login."""
    if credentials is None:
        return []
    said = {
        "username": credentials.username,
        "password": credentials.password,
        "identitytoken": credentials.identity_token,
    }
    return [("X-Registry-Auth", base64.urlsafe_b64encode(json.dumps(said).encode()).decode())]


def _size(step: JsonValue, name: str) -> int:
    value = field(step, "progressDetail", name)
    return max(0, value) if isinstance(value, int) else 0


def _refuse_pull_error(image: str, progress: JsonValue) -> None:
    error = field(progress, "error")
    if isinstance(error, str):
        raise _pull_failure(image, error, missing=False)


def _pull_failure(image: str, message: str, *, missing: bool) -> EngineError:
    text = f"{image}: {message[:1000]}"
    if missing or any(words in message.lower() for words in _MISSING_IMAGE_WORDS):
        return ImageNotFound(text)
    return PullFailed(text)
