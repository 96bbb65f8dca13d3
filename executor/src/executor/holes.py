"""Known holes of Linux and runc by which a job can leave its container, and which versions have
them.

Distributions mend old versions without changing their numbers. Of those nothing can be said, and
nothing is: their kernels end in ``.0``, their runc does not name its commit as its makers' does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Version = tuple[int, ...]

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_RUNC_OF_ITS_MAKERS = re.compile(r"v?\d+\.\d+\.\d+-\d+-g[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class _Hole:
    """``mended`` says of each line of versions, such as 5.10, the first third number without it."""

    name: str
    since: Version
    mended_in: Version
    mended: Mapping[Version, int]
    only_cgroup_1: bool = False


_LINUX = (
    # https://nvd.nist.gov/vuln/detail/CVE-2022-0492: release_agent of cgroup version 1.
    _Hole(
        "CVE-2022-0492",
        since=(2, 6),
        mended_in=(5, 17),
        mended={
            (4, 9): 301,
            (4, 14): 266,
            (4, 19): 229,
            (5, 4): 177,
            (5, 10): 97,
            (5, 15): 20,
            (5, 16): 6,
        },
        only_cgroup_1=True,
    ),
    # https://nvd.nist.gov/vuln/detail/CVE-2022-0847: writing to files opened for reading.
    _Hole(
        "CVE-2022-0847",
        since=(5, 8),
        mended_in=(5, 17),
        mended={(5, 10): 102, (5, 15): 25, (5, 16): 11},
    ),
)
_RUNC = (
    # https://nvd.nist.gov/vuln/detail/CVE-2024-21626: an image whose directory is the host's.
    _Hole("CVE-2024-21626", since=(1, 0), mended_in=(1, 1, 12), mended={}),
    # https://nvd.nist.gov/vuln/detail/CVE-2025-31133: an image that unmasks parts of /proc.
    _Hole("CVE-2025-31133", since=(1, 0), mended_in=(1, 3, 3), mended={(1, 2): 8}),
)


def version_in(text: str) -> Version | None:
    """The first version in a text, three numbers of it; None if there is none."""
    match = _VERSION.search(text)
    return tuple(int(number or 0) for number in match.groups()) if match else None


def holes_in_linux(release: str, cgroup_version: str) -> list[str]:
    """The names of the holes that a kernel is known to have."""
    version = version_in(release)
    if version is None or version[2] == 0:
        return []
    return [
        hole.name
        for hole in _LINUX
        if _has(version, hole) and (cgroup_version == "1" or not hole.only_cgroup_1)
    ]


def holes_in_runc(commit: str) -> list[str]:
    """The names of the holes that a runc is known to have, by its commit in Docker's words."""
    version = version_in(commit)
    if version is None or not _RUNC_OF_ITS_MAKERS.fullmatch(commit):
        return []
    return [hole.name for hole in _RUNC if _has(version, hole)]


def _has(version: Version, hole: _Hole) -> bool:
    if not hole.since <= version < hole.mended_in:
        return False
    mended = hole.mended.get(version[:2])
    return mended is None or version[2] < mended
