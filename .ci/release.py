"""Makes a release of the SDK on this machine: ``./dev nox -s make_release -- X.Y.Z``.

Versions, changelog, lock, distributions, their test, one commit, one tag. Nothing leaves the
machine; what is to be pushed and published is printed. Whatever goes wrong leaves the tree as it
was.
"""  # noqa: INP001 - a script

import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In lockstep: the SDK uses the shared packages' insides, so that it works with those of the same
# release only, and says so by `==`. They are on PyPI for no other purpose.
MEMBERS = {
    "compute-horde-common": "compute_horde_common",
    "compute-horde-executor": "executor",
    "compute-horde-sdk": "compute_horde_sdk",
}
SDK = "compute-horde-sdk"
CHANGELOG = "CHANGELOG.md"
LOCK = "uv.lock"

_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_UNRELEASED = re.compile(r"^## (?:[0-9.]+, )?unreleased$", re.IGNORECASE | re.MULTILINE)
_PIN = re.compile(r'"(compute-horde-(?:common|executor)(?:\[\w+\])?)(?:==[^";]+)?(;[^"]*)?"')
_STEPS = """\
compute-horde-sdk {version} is committed and tagged here; nothing has left this machine.

Look at it:    git show {tag}
Push it:       git push origin HEAD {tag}
Publish it:    uv publish {files}

Take it back:  git tag --delete {tag} && git reset --hard HEAD~1
"""


class NoReleaseError(Exception):
    """A release cannot be made; the text says why and what to do."""


def release(root: Path, version: str, today: date) -> str:
    """Makes it; returns what is left to do.

    Raises:
        NoReleaseError: it cannot be made, and nothing has changed.
    """
    tag = f"sdk-v{version}"
    changelog = _checked_changelog(root, version, tag, today)
    try:
        (root / CHANGELOG).write_text(changelog)
        for folder in MEMBERS.values():
            _set_version(root / folder / "pyproject.toml", version)
        _run(root, _uv(), "lock")
        files = _distributions(root, version)
        _run(root, "git", "commit", "--quiet", "--message", f"Release {SDK} {version}", *_changed())
    except BaseException:
        _run(root, "git", "checkout", "--quiet", "HEAD", "--", *_changed()[1:])
        raise
    _run(root, "git", "tag", "--annotate", tag, "--message", f"{SDK} {version}")
    return _STEPS.format(version=version, tag=tag, files=" ".join(files))


def _checked_changelog(root: Path, version: str, tag: str, today: date) -> str:
    """The changelog of the release, if there can be one."""
    if not _VERSION.fullmatch(version):
        raise NoReleaseError(f'"{version}" is no version; give three numbers, e.g. 0.2.0')
    if _run(root, "git", "status", "--porcelain"):
        raise NoReleaseError("the tree has changes; commit them first (git status)")
    if _run(root, "git", "tag", "--list", tag):
        raise NoReleaseError(f"{version} was released before: there is a tag {tag}")
    present = tomllib.loads(_project(root, SDK).read_text())["project"]["version"]
    is_released = bool(_run(root, "git", "tag", "--list", f"sdk-v{present}"))
    if _numbers(version) < _numbers(present) or (is_released and version == present):
        raise NoReleaseError(f"{version} is not above the present version, {present}")
    text = (root / CHANGELOG).read_text()
    heading = f"## {version}, {today.isoformat()}"
    found = _UNRELEASED.sub(heading, text, count=1)
    section = found.partition(heading + "\n")[2].partition("\n## ")[0]
    if not section.strip():
        raise NoReleaseError(
            f'{CHANGELOG} says nothing of {version}; write what changes below "## Unreleased"'
        )
    return found


def _set_version(file: Path, version: str) -> None:
    text = re.sub(
        r'^version = ".*"$', f'version = "{version}"', file.read_text(), count=1, flags=re.MULTILINE
    )
    if file.parent.name == MEMBERS[SDK]:
        text = _PIN.sub(lambda pin: f'"{pin[1]}=={version}{pin[2] or ""}"', text)
    file.write_text(text)


def _distributions(root: Path, version: str) -> list[str]:
    """Builds and tests the wheels and source distributions of a release."""
    folder = root / "dist" / version
    shutil.rmtree(folder, ignore_errors=True)
    for package in MEMBERS:
        _run(root, _uv(), "build", "--package", package, "--out-dir", str(folder))
    _run(root, sys.executable, "-m", "pytest", "-q", "tests/wheels", RELEASED_WHEELS=str(folder))
    files = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    return sorted(str(path.relative_to(root)) for path in files)


def _changed() -> list[str]:
    return ["--", CHANGELOG, LOCK, *(f"{folder}/pyproject.toml" for folder in MEMBERS.values())]


def _project(root: Path, package: str) -> Path:
    return root / MEMBERS[package] / "pyproject.toml"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def _run(root: Path, *command: str, **settings: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words and a version
        command,
        cwd=root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoReleaseError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Makes the release that is asked for."""
    if len(arguments) != 1:
        sys.stderr.write("usage: ./dev nox -s make_release -- X.Y.Z\n")
        return 2
    try:
        sys.stdout.write(release(ROOT, arguments[0], datetime.now(UTC).date()))
    except NoReleaseError as error:
        sys.stderr.write(f"No release was made: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
