"""A release is made in a copy of this repository, with its real tools."""

import os
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.wheels.installing import RUNNING

ROOT = Path(__file__).parent.parent.parent
SECONDS = 240
IDENTITY = {
    "GIT_AUTHOR_NAME": "Releaser",
    "GIT_AUTHOR_EMAIL": "releaser@example.com",
    "GIT_COMMITTER_NAME": "Releaser",
    "GIT_COMMITTER_EMAIL": "releaser@example.com",
}
PROJECT = "compute_horde_sdk/pyproject.toml"
CHANGES = "# Changelog\n\n## Unreleased\n\n- Cats.\n\n## 0.0.1, 2020-01-01\n\n- Dogs.\n"


class Repository:
    """A repository of one's own, with all files of this one."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.home,
            env={**os.environ, **IDENTITY},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, file: str, text: str) -> None:
        (self.home / file).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change it")

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Each interpreter has its turn where the wheels themselves are tested.
        chosen = {"PYTEST_ADDOPTS": f'-k "core and {RUNNING}"'}
        return subprocess.run(
            [sys.executable, ".ci/release.py", *arguments],
            cwd=self.home,
            env={**os.environ, **IDENTITY, **chosen},
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> tuple[str, str, str]:
        """All that a release changes."""
        return self.git("rev-parse", "HEAD"), self.git("tag"), self.git("status", "--porcelain")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("original"))
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        target = repository.home / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    repository.git("init", "--quiet")
    repository.write("CHANGELOG.md", CHANGES)
    return repository


@pytest.fixture
def repository(original: Repository, tmp_path: Path) -> Repository:
    copy = tmp_path / "copy"
    original.git("clone", "--quiet", str(original.home), str(copy))
    return Repository(copy)


@pytest.mark.timeout(SECONDS)
def test_a_release_is_one_commit_and_one_tag_of_tested_distributions(
    repository: Repository, original: Repository
) -> None:
    # As after an earlier release, in part.
    text = (repository.home / PROJECT).read_text()
    pinned = text.replace('"compute-horde-executor;', '"compute-horde-executor==0.1.0;')
    repository.write(PROJECT, pinned)
    before, published = repository.git("rev-parse", "HEAD"), original.state()

    done = repository.release("0.2.0")

    assert done.returncode == 0, done.stderr
    assert repository.state() == (repository.git("rev-parse", "sdk-v0.2.0^{}"), "sdk-v0.2.0", "")
    assert repository.git("log", "--format=%s", f"{before}..") == "Release compute-horde-sdk 0.2.0"
    assert original.state() == published
    assert repository.git("diff", "--name-only", before).split() == [
        "CHANGELOG.md",
        "compute_horde_common/pyproject.toml",
        "compute_horde_sdk/pyproject.toml",
        "executor/pyproject.toml",
        "uv.lock",
    ]
    assert (
        repository.git("show", "HEAD:CHANGELOG.md")
        == CHANGES.replace("Unreleased", f"0.2.0, {datetime.now(UTC).date().isoformat()}").strip()
    )
    assert "uv publish dist/0.2.0/compute_horde_common-0.2.0-py3-none-any.whl" in done.stdout
    _check_distributions(repository)
    assert repository.release("0.2.0").stderr == (
        "No release was made: 0.2.0 was released before: there is a tag sdk-v0.2.0\n"
    )


def _check_distributions(repository: Repository) -> None:
    assert sorted(path.name for path in (repository.home / "dist" / "0.2.0").glob("*-*")) == [
        f"compute_horde_{name}-0.2.0{kind}"
        for name in ("common", "executor", "sdk")
        for kind in ("-py3-none-any.whl", ".tar.gz")
    ]
    wheel = repository.home / "dist" / "0.2.0" / "compute_horde_sdk-0.2.0-py3-none-any.whl"
    metadata = zipfile.ZipFile(wheel).read("compute_horde_sdk-0.2.0.dist-info/METADATA").decode()
    wanted = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: compute-")]
    local = "==0.2.0 ; python_full_version >= '3.11' and extra == 'local'"
    assert wanted == [
        "Requires-Dist: compute-horde-common==0.2.0",
        f"Requires-Dist: compute-horde-common[links]{local}",
        f"Requires-Dist: compute-horde-executor{local}",
    ]


@pytest.mark.timeout(SECONDS)
def test_distributions_that_fail_their_test_are_no_release(repository: Repository) -> None:
    text = (repository.home / PROJECT).read_text()
    repository.write(PROJECT, text.replace('"httpx-sse', '"structlog",\n    "httpx-sse', 1))
    before = repository.state()

    done = repository.release("0.2.0")

    assert done.returncode == 1
    assert "tests/wheels failed" in done.stderr
    assert repository.state() == before


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("0.2", '"0.2" is no version; give three numbers, e.g. 0.2.0'),
        ("v0.2.0", '"v0.2.0" is no version; give three numbers, e.g. 0.2.0'),
        ("0.2.0rc1", '"0.2.0rc1" is no version; give three numbers, e.g. 0.2.0'),
        ("0.02.0", '"0.02.0" is no version; give three numbers, e.g. 0.2.0'),
        ("0.0.9", "0.0.9 is not above the present version, 0.1.0"),
    ],
)
def test_a_wrong_version_is_refused(repository: Repository, version: str, problem: str) -> None:
    before = repository.state()

    done = repository.release(version)

    assert (done.returncode, done.stderr) == (1, f"No release was made: {problem}\n")
    assert repository.state() == before


def test_a_version_is_asked_for(repository: Repository) -> None:
    done = repository.release()

    assert (done.returncode, done.stderr) == (2, "usage: ./dev nox -s make_release -- X.Y.Z\n")


def test_uncommitted_changes_are_left_alone(repository: Repository) -> None:
    (repository.home / "README.md").write_text("mine")

    done = repository.release("0.2.0")

    assert done.stderr == (
        "No release was made: the tree has changes; commit them first (git status)\n"
    )
    assert (repository.home / "README.md").read_text() == "mine"


@pytest.mark.parametrize("section", ["", "## 0.0.9, 2020-01-01\n\n- Dogs.\n", "## Unreleased\n"])
def test_a_release_without_changes_is_refused(repository: Repository, section: str) -> None:
    repository.write("CHANGELOG.md", f"# Changelog\n\n{section}")

    done = repository.release("0.2.0")

    assert done.stderr == (
        "No release was made: CHANGELOG.md says nothing of 0.2.0;"
        ' write what changes below "## Unreleased"\n'
    )
