"""What an image runs by itself, asked of its registry (OCI distribution specification 1.1).

Clouds start a container with their own command, so the image's must be known beforehand.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, Field, ValidationError

from compute_horde_common.containers.image_name import DEFAULT_REGISTRY, ImageName
from compute_horde_sdk._internal.fallback.exceptions import FallbackError

DOCKER_HUB = "registry-1.docker.io"
TIMEOUT = httpx.Timeout(15.0)
LARGEST_BYTES = 4 << 20
PLATFORM = ("linux", "amd64")
ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class ImageConfig:
    """How an image starts."""

    entrypoint: Sequence[str]
    cmd: Sequence[str]
    env: Mapping[str, str]
    work_dir: str

    def command(self, args: Sequence[str]) -> list[str]:
        """What is run with arguments, as Docker puts it together."""
        return [*self.entrypoint, *(args or self.cmd)]


class _Platform(BaseModel):
    os: str = ""
    architecture: str = ""


class _Descriptor(BaseModel):
    digest: str
    platform: _Platform = _Platform()


class _Manifest(BaseModel):
    manifests: list[_Descriptor] = []
    config: _Descriptor | None = None


class _Config(BaseModel):
    entrypoint: list[str] | None = Field(default=None, alias="Entrypoint")
    cmd: list[str] | None = Field(default=None, alias="Cmd")
    env: list[str] | None = Field(default=None, alias="Env")
    work_dir: str | None = Field(default=None, alias="WorkingDir")


class _Image(_Platform):
    config: _Config = _Config()


class _Token(BaseModel):
    token: str = ""
    access_token: str = ""


async def image_config(image: str, *, scheme: str = "https") -> ImageConfig:
    """How a public image starts.

    Raises:
        FallbackError: its registry does not say.
    """
    try:
        name = ImageName.parse(image)
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True) as web:
            return await _Asking(web, name, scheme).config()
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError, ValueError) as error:
        raise FallbackError(
            f"the registry does not say what {image} runs: {str(error) or type(error).__name__};"
            " give FallbackJobSpec(run=...), a shell command"
        ) from error


class _Asking:
    def __init__(self, web: httpx.AsyncClient, name: ImageName, scheme: str) -> None:
        host = DOCKER_HUB if name.registry == DEFAULT_REGISTRY else name.registry
        self._web = web
        self._base = f"{scheme}://{host}/v2/{name.repository}"
        self._reference = name.digest or name.tag or "latest"
        self._headers = {"Accept": ACCEPT}

    async def config(self) -> ImageConfig:
        manifest = await self._manifest(self._reference)
        if manifest.manifests:
            manifest = await self._manifest(_for_our_platform(manifest.manifests).digest)
        if manifest.config is None:
            raise ValueError("it has no configuration")
        blob = await self._get(f"/blobs/{manifest.config.digest}")
        image = _Image.model_validate_json(blob)
        if (image.os, image.architecture) != PLATFORM:
            raise ValueError(f"it has no image for {'/'.join(PLATFORM)}")
        found = image.config
        return ImageConfig(
            found.entrypoint or [],
            found.cmd or [],
            dict(each.split("=", 1) for each in found.env or [] if "=" in each),
            found.work_dir or "/",
        )

    async def _manifest(self, reference: str) -> _Manifest:
        return _Manifest.model_validate_json(await self._get(f"/manifests/{reference}"))

    async def _get(self, path: str) -> bytes:
        answer = await self._web.get(self._base + path, headers=self._headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            await self._log_in(answer.headers.get("WWW-Authenticate", ""))
            answer = await self._web.get(self._base + path, headers=self._headers)
        _check(answer)
        if len(answer.content) > LARGEST_BYTES:
            raise ValueError("its answer is too large")
        return answer.content

    async def _log_in(self, challenge: str) -> None:
        """Registries give anybody a token for what is public."""
        wanted = dict(_CHALLENGE.findall(challenge))
        realm = wanted.pop("realm", "")
        if not challenge.startswith("Bearer ") or not realm.startswith("https://"):
            raise ValueError("it wants a login")
        answer = await self._web.get(realm, params=wanted)
        _check(answer)
        token = _Token.model_validate_json(answer.content)
        self._headers["Authorization"] = f"Bearer {token.token or token.access_token}"


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise ValueError(f"it answers {answer.status_code} {answer.reason_phrase}")


def _for_our_platform(found: Sequence[_Descriptor]) -> _Descriptor:
    for each in found:
        if (each.platform.os, each.platform.architecture) == PLATFORM:
            return each
    raise ValueError(f"it has no image for {'/'.join(PLATFORM)}")
