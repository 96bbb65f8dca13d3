"""What there is to run. Sessions use the locked environment of `./dev`; nox adds no other."""

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "pure"]
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
BIN = ROOT / ".venv" / "bin"
SCRIPTS = [
    "dev",
    ".ci/run",
    "install_validator.sh",
    "install_miner.sh",
    "docker/install.sh",
    *sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "docker").rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"#!")
    ),
]
ROOT_TESTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("test_*.py"))
MEMBERS = (
    "compute_horde_common",
    "compute_horde_sdk",
    "executor",
    "facilitator",
    "validator",
    "miner",
    "compute_horde_devnet",
)
os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, import rules, shell."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("shellcheck", *SCRIPTS)
    session.run("python", "docs/generate.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, over everything."""
    # Its Django plugin imports every service's admin, and those their configuration.
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "SECRET_KEY": "only-for-types-only-for-types-00",
        "JWT_SECRET": "only-for-types-only-for-types-01",
        "DATABASE_URL": "postgresql://nobody@localhost/nothing",
        "REDIS_URL": "redis://localhost/0",
    }
    session.run("mypy", env=environment)


@nox.session
def pure(session: nox.Session) -> None:
    """The tests that need nothing but Python, and the shape of the code."""
    tests = "compute_horde_common/tests"
    session.run("pytest", "-q", f"{tests}/jobs", f"{tests}/protocol")
    session.run("pytest", "-q", *ROOT_TESTS)


@nox.session
def tests(session: nox.Session) -> None:
    """One member's tests, or all members': ``nox -s tests -- validator``."""
    chosen = session.posargs[:1] if session.posargs[:1] and session.posargs[0] in MEMBERS else []
    for member in chosen or MEMBERS:
        session.run("pytest", "-q", member, *session.posargs[len(chosen) :])


@nox.session
def migrations(session: nox.Session) -> None:
    """Databases of released versions, brought to this one."""
    session.run("pytest", "-q", "tests/migrations", *session.posargs)


@nox.session
def conversations(session: nox.Session) -> None:
    """Both real ends of each conversation."""
    session.run("pytest", "-q", "tests/conversations", *session.posargs)


@nox.session
def e2e(session: nox.Session) -> None:
    """The whole network in processes and containers; on it the published packages, the examples of
    the SDK's own documents and every page for its users."""
    folders = ("tests/e2e", "tests/interop", "tests/seeds", "tests/docs")
    session.run("pytest", "-q", *folders, *session.posargs)


@nox.session
def sdk(session: nox.Session) -> None:
    """What the SDK does without a network: local and rented runs, its types, wheels and release."""
    folders = ("local", "fallback", "types", "wheels", "release")
    session.run("pytest", "-q", *(f"tests/{name}" for name in folders), *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """Images, the network in containers, and the installers on hosts of their own. Builds a Debian
    to start from, so it has to be root."""
    session.run("pytest", "-q", "tests/deploy", "tests/examples", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """The published packages alone."""
    session.run("pytest", "-q", "tests/interop", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Everything that must pass."""
    for name in ("lint", "types", "tests", "migrations", "conversations", "sdk", "e2e", "deploy"):
        session.notify(name, posargs=[])
    session.run("pytest", "-q", *ROOT_TESTS)


@nox.session
def bench(session: nox.Session) -> None:
    """Measures the network; prints ratios, asserts nothing."""
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Renders what is generated from the code, the SDK's reference too; ``-- --check`` fails on a
    difference."""
    session.run("python", "docs/generate.py", *session.posargs)


@nox.session
def make_release(session: nox.Session) -> None:
    """Commits and tags a release of the SDK on this machine: ``nox -s make_release -- X.Y.Z``."""
    session.run("python", ".ci/release.py", *session.posargs)
