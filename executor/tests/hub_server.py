"""A Hugging Face hub of one repository, as far as its API is used for downloads."""

import hashlib
import json
from dataclasses import dataclass
from urllib.parse import quote

from tests.servers import Handler, Site, answer, versioned

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """``plural`` and ``prefix`` are how its type appears in URLs of the API and of files."""

    site: Site
    name: str = "team/thing"
    plural: str = "models"
    prefix: str = ""
    commit: str = COMMIT

    def add(self, files: dict[str, bytes], *, large: dict[str, Handler] | None = None) -> None:
        """Serves these, all known by commit. ``large`` are stored elsewhere, in ``files`` too."""
        for path, content in files.items():
            tag = f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"'
            page = (large or {}).get(path, versioned(content, tag))
            self.site.pages[self.path(path)] = page
        info = {
            "id": self.name,
            "sha": self.commit,
            "siblings": [_sibling(path, files[path], path in (large or {})) for path in files],
        }
        self.told_as(answer(200, json.dumps(info).encode(), Content_Type="application/json"))

    def told_as(self, page: Handler, *revisions: str) -> None:
        """What its API says, of the default branch or of revisions."""
        paths = [f"/revision/{quote(revision, safe='')}" for revision in revisions]
        for path in paths or [""]:
            self.site.pages[f"/api/{self.plural}/{self.name}{path}"] = page

    def path(self, path: str) -> str:
        return f"/{self.prefix}{self.name}/resolve/{self.commit}/{quote(path)}"

    def url(self, path: str) -> str:
        return self.site.url(self.path(path))


def _sibling(path: str, content: bytes, large: bool) -> dict[str, object]:
    told: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
    if large:
        digest = hashlib.sha256(content).hexdigest()
        told["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return told
