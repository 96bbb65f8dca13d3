"""The process that runs one job: ``python -m executor``, in a session of its own.

It is none of asyncio's: those are killed when their event loop ends, and then nobody removes the
job's container. Ours sees that its socket is closed, clears up and ends.
"""

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.executor_classes import executor_class

COMMAND = (sys.executable, "-m", "executor")
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "HF_ENDPOINT",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
"""What an executor gets of the user's environment."""
OWNER = "local"
STARTUP_SECONDS = 3600
"""For getting the image: here, nobody else waits for it."""
STOP_SECONDS = 30.0
_LAST_LINES = 10
_LAST_BYTES = 4000

logger = logging.getLogger(__name__)


class ExecutorUnusable(Exception):
    """No job can run here; the text says why, and what to do."""


@dataclass(frozen=True)
class Machine:
    """How executors run here.

    Attributes:
        work_dir: where the files of jobs go.
        gpu: whether jobs of GPU classes get GPUs; ``None`` if there are any.
        docker_host: where Docker is.
        settings: more variables for executors. They win over ours.
    """

    work_dir: Path
    gpu: bool | None
    docker_host: str
    settings: Mapping[str, str]

    @property
    def startup_seconds(self) -> int:
        """How long an executor may take to get ready for a job."""
        return int(self.settings.get("STARTUP_TIME_LIMIT") or STARTUP_SECONDS)

    def environment(self, address: str, token: str, class_name: str) -> dict[str, str]:
        """What an executor for a job of a class is told."""
        promised = executor_class(class_name)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        gives_gpus = self._gives_gpus(class_name)
        if promised.has_gpu and not gives_gpus and self.gpu is None:
            logger.warning("no GPU found, so a job of class %s runs without one", class_name)
        return {
            **inherited,
            "DOCKER_HOST": self.docker_host,
            "EXECUTOR_OWNER": OWNER,
            "EXECUTOR_CLASS": class_name,
            "EXTRA_EXECUTOR_CLASSES": json.dumps([promised.model_dump()]),
            "EXECUTOR_WORK_DIR": str(self.work_dir),
            "STARTUP_TIME_LIMIT": str(STARTUP_SECONDS),
            "ALLOW_PRIVATE_ADDRESSES": "true",
            "DEBUG_NO_GPU_MODE": "false" if gives_gpus else "true",
            "LOG_FORMAT": "console",
            **self.settings,
            "MINER_ADDRESS": address,
            "EXECUTOR_TOKEN": token,
        }

    def unfit(self, reasons: Sequence[str], class_name: str) -> str:
        """What to tell of an executor that takes no job of a class here."""
        advice = []
        if self._is_locked():
            advice = [
                "This user may not use Docker: sudo usermod -aG docker $USER, and log in again."
            ]
        if self.gpu is None and self._gives_gpus(class_name):
            advice += ["To run it without a GPU: LocalClient(gpu=False)."]
        return " ".join(["this machine cannot run jobs.", *reasons, *advice])

    def _is_locked(self) -> bool:
        socket = Path(self.docker_host.removeprefix("unix://"))
        return socket.is_socket() and not os.access(socket, os.R_OK | os.W_OK)

    def _gives_gpus(self, class_name: str) -> bool:
        wanted = executor_class(class_name).has_gpu and self.gpu is not False
        return wanted and (self.gpu or shutil.which("nvidia-smi") is not None)


class ExecutorProcess:
    """A running executor.

    Attributes:
        gone: set once it has ended.

    Raises:
        ExecutorUnusable: it cannot be started.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.gone = asyncio.Event()
        # A file and no pipe: a pipe would break with us, just when the executor clears up.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        try:
            self._child = subprocess.Popen(  # noqa: S603 - our own command
                COMMAND,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,
                # Not the user's folder, which may have a module with the same name.
                cwd="/",
            )
            watched = os.pidfd_open(self._child.pid)
        except OSError as error:
            raise ExecutorUnusable(f"the executor's process cannot be started: {error}") from error
        loop = asyncio.get_running_loop()
        loop.add_reader(watched, self._ended, loop, watched)

    @property
    def last_words(self) -> str:
        """The end of what it wrote."""
        # Without moving to there: the executor writes where its file is at.
        start = max(0, os.fstat(self._said.fileno()).st_size - _LAST_BYTES)
        said = os.pread(self._said.fileno(), _LAST_BYTES, start)
        lines = said.decode(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:]) or "it said nothing"

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        status = self._child.poll()
        return "and still runs" if status is None else f"with status {status}"

    async def stop(self, clock: Clock, *, knows: bool) -> None:
        """Returns once it is gone, with all that belongs to its job.

        Args:
            clock: the time.
            knows: whether it ends by itself, because its socket was closed.
        """
        signals = (signal.SIGTERM, signal.SIGKILL)
        for number in (None, *signals) if knows else signals:
            self._signal(number)
            if await self._is_gone(clock):
                break
            asked = number.name if number else "the end of its job"
            logger.warning("executor %s has not ended after %s", self._child.pid, asked)
        self._said.close()

    def _signal(self, number: signal.Signals | None) -> None:
        if number is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def _is_gone(self, clock: Clock) -> bool:
        with suppress(TimeoutError):
            async with clock.timeout(STOP_SECONDS):
                await self.gone.wait()
        return self.gone.is_set()

    def _ended(self, loop: asyncio.AbstractEventLoop, watched: int) -> None:
        loop.remove_reader(watched)
        os.close(watched)
        self._child.wait()
        self.gone.set()
