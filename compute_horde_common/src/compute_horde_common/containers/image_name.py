"""Image names, as Docker reads them: short ones stand for longer ones."""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_REGISTRY: Final = "docker.io"

_MAX_LENGTH = 500
_PART = r"[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(
    r"(?:(?P<registry>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?)/)?"
    rf"(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[a-f0-9]{64}))?"
)


@dataclass(frozen=True, slots=True)
class ImageName:
    """The full name of an image. One with a digest names exactly one image, for ever."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "ImageName":
        """What a name means; raises ``ValueError`` for what no image can be called."""
        match = _NAME.fullmatch(text) if len(text) <= _MAX_LENGTH else None
        if match is None:
            raise ValueError(f"{text[:200]!r} is not the name of an image.")
        registry, repository = match["registry"], match["repository"]
        if registry and not _is_host(registry):
            registry, repository = None, f"{registry}/{repository}"
        registry = registry or DEFAULT_REGISTRY
        if registry == "index.docker.io":
            registry = DEFAULT_REGISTRY
        if registry == DEFAULT_REGISTRY and "/" not in repository:
            repository = f"library/{repository}"
        tag = match["tag"] or (None if match["digest"] else "latest")
        return cls(registry, repository, tag, match["digest"])

    @property
    def path(self) -> str:
        """Registry and repository: ``docker.io/library/busybox``."""
        return f"{self.registry}/{self.repository}"

    @property
    def full(self) -> str:
        """All of it: ``docker.io/library/busybox:latest``."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.path}{tag}{digest}"


def _is_host(word: str) -> bool:
    return "." in word or ":" in word or word == "localhost" or word.lower() != word
