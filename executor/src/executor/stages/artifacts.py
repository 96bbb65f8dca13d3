"""Small files that come back in the result itself.

Everything below the artifacts directory was made by the job: no link is followed, and only plain
files are read.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from compute_horde_common.transfer.errors import UnsafePath
from compute_horde_common.transfer.tree import Entry, Folder, Kind, is_sayable, is_too_deep

MAX_ARTIFACTS = 1000

_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """Each file has less than ``each_bytes``; all and their names have at most ``total_bytes``."""

    each_bytes: int
    total_bytes: int


@dataclass
class Artifacts:
    """Files by their path in the container, base64; and what was left out, each with its reason."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    size: int = 0


def collect_artifacts(folder: Folder, target: str, limits: ArtifactLimits) -> Artifacts:
    """The plain files below ``folder``, which the job saw as ``target``. Blocks.

    What is beyond the limits is left out; so are links and special files.
    """
    found = Artifacts()
    for entry in _entries(folder, found):
        shown = f"artifact {_shown(f'{target}/{entry.path}')}"
        if reason := _refusal(entry, found, limits):
            found.left_out.append(f"{shown} left out: {reason}")
            continue
        try:
            with folder.open_file(entry.path) as file:
                content = file.read(limits.each_bytes)
        except UnsafePath as refusal:
            found.left_out.append(f"{shown} left out: {refusal.why}")
            continue
        found.files[f"{target}/{entry.path}"] = base64.b64encode(content).decode("ascii")
        found.size += len(content) + len(json.dumps(entry.path))
    return found


def _entries(folder: Folder, found: Artifacts) -> Iterator[Entry]:
    """All but folders, in the order of their paths."""
    entries = []
    for looked_at, entry in enumerate(folder.walk()):
        if looked_at >= _LOOKED_AT:
            found.left_out.append(f"artifacts left out: more than {_LOOKED_AT} entries")
            break
        entries.append(entry)
    files = (each for each in entries if each.kind is not Kind.FOLDER or is_too_deep(each))
    return iter(sorted(files, key=lambda each: each.path))


def _refusal(entry: Entry, found: Artifacts, limits: ArtifactLimits) -> str:
    if entry.kind is not Kind.FILE:
        deep = is_too_deep(entry)
        return "too deep" if deep else f"only plain files are returned ({entry.kind.value})"
    if not is_sayable(entry.path):
        return "its name is no UTF-8, or has a backslash"
    if entry.size >= limits.each_bytes:
        return f"{entry.size} bytes; each must have less than {limits.each_bytes}"
    if len(found.files) >= MAX_ARTIFACTS:
        return f"there are more than {MAX_ARTIFACTS}"
    if found.size + entry.size > limits.total_bytes:
        return f"all together would have more than {limits.total_bytes} bytes"
    return ""


def _shown(path: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in path.encode(errors="backslashreplace").decode()
    )
