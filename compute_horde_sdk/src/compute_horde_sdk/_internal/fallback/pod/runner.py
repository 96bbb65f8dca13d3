"""Runs one job: inputs, command, outputs, each within its limit.

usage: python3 runner.py FOLDER, which has ``job.json``.

All that is to be known of the job is said on standard output, one line each: a mark and JSON. So
the log of the machine is all that its author needs to read.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parent))

import transfers

MARK = "@compute-horde "
PIECE_BYTES = 4096
HEAD_CHARACTERS = 500_000
TAIL_CHARACTERS = 500_000
ARTIFACT_BYTES = 1_000_000
ARTIFACTS_BYTES = 10 << 20
MOST_ARTIFACTS = 1000
GRACE_SECONDS = 2
LOOK_SECONDS = 0.2
STREAMING_PORT = 8000
HEALTH_SECONDS = 2
ODD = "its name is no UTF-8, or has a backslash"


class JobFailed(Exception):
    """The job ends here; tells why, in the network's words."""

    def __init__(
        self, stage: str, reason: str, message: str, exit_status: int | None = None
    ) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = {"stage": stage, "reason": reason, "message": message}
        if exit_status is not None:
            self.details["docker_process_exit_status"] = exit_status


class Teller:
    """Says things about the job. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = 0
        self._outputs = {"stdout": Output(), "stderr": Output()}

    def say(self, **members: Any) -> None:
        """One line. It has a number, as logs may have it twice, and no blank, as SkyPilot leaves
        out lines with certain phrases."""
        with self._lock:
            self._said += 1
            told = json.dumps(
                {**members, "n": self._said, "at": time.time()}, separators=(",", ":")
            )
            sys.stdout.write(MARK + told.replace(" ", "\\u0020") + "\n")
            sys.stdout.flush()

    def status(self, status: str, **metadata: Any) -> None:
        """The job reached a status."""
        self.say(status=status, metadata=metadata)

    def output(self, stream: str, text: str) -> None:
        """The job wrote something. Of much, the middle is left out."""
        shown = self._outputs[stream].shown(text)
        if shown:
            self.say(stream=stream, text=shown)

    def end_of_output(self) -> None:
        """The job writes no more: the last of what was kept back."""
        for stream, output in self._outputs.items():
            dropped, tail = output.rest()
            if tail:
                self.say(stream=stream, text=tail, dropped=dropped)


class Output:
    """One stream: its first characters are told as they come, its last ones at the end."""

    def __init__(self) -> None:
        self._left = HEAD_CHARACTERS
        self._tail = ""
        self._dropped = 0

    def shown(self, text: str) -> str:
        """What of a piece is to be told at once."""
        head, rest = text[: self._left], text[self._left :]
        self._left -= len(head)
        kept = self._tail + rest
        self._tail = kept[-TAIL_CHARACTERS:]
        self._dropped += len(kept[:-TAIL_CHARACTERS].encode())
        return head

    def rest(self) -> tuple[int, str]:
        """How many bytes were left out, and what came after them."""
        return self._dropped, self._tail


class Clock:
    """Time that a stage does not need is left to the later ones."""

    def __init__(self) -> None:
        self.deadline = time.monotonic()

    def allow(self, seconds: float) -> float:
        """The deadline of a stage that may take so many seconds."""
        self.deadline = max(self.deadline, time.monotonic()) + seconds
        return self.deadline


class Runner:
    """One job, below a root folder: that of the machine, unless a test says otherwise."""

    def __init__(self, job: dict[str, Any], root: str, teller: Teller) -> None:
        self._job = job
        self._root = root.rstrip("/")
        self._teller = teller
        self._clock = Clock()
        self._limits = job["limits"]
        os.environ.update(job["env"])

    def run(self) -> None:
        """All stages; says how the job ends."""
        try:
            self._teller.status("executor_ready")
            self._fetch()
            self._teller.status("volumes_ready")
            self._execute_and_send()
            self._collect()
            self._teller.end_of_output()
            self._teller.status("completed")
        except JobFailed as failure:
            self._teller.end_of_output()
            self._teller.status("failed", job_failure_details=failure.details)
        except Exception as error:  # noqa: BLE001
            # The last word is needed, whatever it is.
            self._teller.end_of_output()
            message = f"{type(error).__name__}: {error}"
            told = {"reason": "unhandled_exception", "message": message, "reported_by": "executor"}
            self._teller.status("horde_failed", horde_failure_details=told)

    def _execute_and_send(self) -> None:
        """Outputs are sent of a job that fails, too; then it is of no account how that goes."""
        try:
            self._execute()
        except JobFailed as failure:
            with contextlib.suppress(JobFailed):
                failure.details["context"] = {"upload_results": self._send()}
            raise
        self._teller.status("execution_done")
        self._teller.say(upload_results=self._send())

    def _fetch(self) -> None:
        deadline = self._clock.allow(self._limits["download"])
        budget = transfers.Budget(transfers.MOST_INPUT_BYTES)
        try:
            self._clear()
            for volume in self._job["volumes"]:
                transfers.fetch_volume(volume, self._path("volume"), deadline, budget)
        except TimeoutError as error:
            raise JobFailed("volume_download", "timeout", str(error)) from None
        except (transfers.TransferFailed, OSError, ValueError, KeyError) as error:
            raise JobFailed("volume_download", "download_failed", str(error)) from None

    def _clear(self) -> None:
        for name in ("volume", "output", "specs", *self._artifacts_dir()):
            folder = Path(self._path(name))
            if os.path.ismount(folder) and any(folder.iterdir()):
                problem = f"/{name} is a disk with files on it; choose another folder"
                raise JobFailed("volume_download", "download_failed", problem)
            if name != "specs":
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def _execute(self) -> None:
        # Open before the job begins, which may remove the folder.
        out, err = self._output_file("stdout"), self._output_file("stderr")
        process = self._started()
        readers = [
            threading.Thread(target=self._read, args=args, daemon=True)
            for args in (("stdout", process.stdout, out), ("stderr", process.stderr, err))
        ]
        for reader in readers:
            reader.start()
        try:
            if self._job["streaming"]:
                self._await_health(process)
            status = self._await_end(process)
        finally:
            _end(process)
            for reader in readers:
                reader.join(GRACE_SECONDS)
        if status != 0:
            status = 128 - status if status < 0 else status
            message = f"The job ended with exit status {status}."
            raise JobFailed("execution", "nonzero_return_code", message, status)

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._job["command"],
                cwd=self._job["work_dir"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            message = f"{self._job['command'][0]} cannot be started: {error}"
            raise JobFailed("execution", "nonzero_return_code", message, 127) from None

    def _await_health(self, process: subprocess.Popen[bytes]) -> None:
        deadline = self._clock.allow(self._limits["streaming_start"])
        while process.poll() is None and not _is_healthy():
            if time.monotonic() > deadline:
                message = "The job did not answer GET /health on port 8000 with 200 in time."
                raise JobFailed("streaming_startup", "timeout", message)
            time.sleep(LOOK_SECONDS)
        if process.poll() is None:
            self._teller.status("streaming_ready")

    def _await_end(self, process: subprocess.Popen[bytes]) -> int:
        deadline = self._clock.allow(self._limits["execution"])
        told = ""
        while True:
            told = self._tell_progress(told)
            if time.monotonic() > deadline:
                message = f"The job took longer than {self._limits['execution']} seconds."
                raise JobFailed("execution", "timeout", message)
            try:
                return process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue

    def _output_file(self, name: str) -> BinaryIO:
        return open(self._path(f"output/{name}.txt"), "wb")

    def _read(self, name: str, stream: BinaryIO, file: BinaryIO) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with file:
            piece = None
            while piece != b"":
                piece = stream.read1(PIECE_BYTES)  # type: ignore[attr-defined]  # pipes have it
                file.write(piece)
                self._teller.output(name, decoder.decode(piece, final=not piece))

    def _tell_progress(self, told: str) -> str:
        try:
            text = Path(self._path("specs/progress")).read_text("utf-8", "replace")[:256]
        except OSError:
            return told
        line = text.partition("\n")[0].strip()
        percent, _, words = line.partition(" ")
        try:
            number = float(percent)
        except ValueError:
            return told
        if line != told and 0 <= number <= 100:
            self._teller.say(percent=number, text=words[:200])
        return line

    def _send(self) -> dict[str, Any]:
        deadline = self._clock.allow(self._limits["upload"])
        answers = {}
        try:
            for upload in self._job["uploads"]:
                answer = transfers.send(upload, self._path("output"), deadline)
                answers[upload["relative_path"]] = answer
        except TimeoutError as error:
            raise JobFailed("result_upload", "timeout", str(error)) from None
        except (transfers.TransferFailed, OSError, ValueError) as error:
            raise JobFailed("result_upload", "upload_failed", str(error)) from None
        return answers

    def _collect(self) -> None:
        """Says the contents of the artifacts, and which were left out."""
        total, count = 0, 0
        for name in self._artifacts_dir():
            folder = Path(self._path(name))
            for path in sorted(folder.rglob("*")):
                if path.is_symlink() or not path.is_file():
                    continue
                shown = f"/{name}/{path.relative_to(folder)}"
                if not _is_sayable(shown):
                    self._teller.output("stderr", f"artifact {shown!a} is left out: {ODD}\n")
                    continue
                size = path.stat().st_size
                too_much = total + size > ARTIFACTS_BYTES or count >= MOST_ARTIFACTS
                if size >= ARTIFACT_BYTES or too_much:
                    self._teller.output("stderr", f"artifact {shown} is left out: {size} bytes\n")
                    continue
                total, count = total + size, count + 1
                self._tell_artifact(shown, path.read_bytes())

    def _tell_artifact(self, shown: str, content: bytes) -> None:
        for start in range(0, max(1, len(content)), PIECE_BYTES):
            piece = base64.b64encode(content[start : start + PIECE_BYTES]).decode()
            self._teller.say(artifact=shown, piece=piece)

    def _artifacts_dir(self) -> list[str]:
        return [self._job["artifacts_dir"].strip("/")] if self._job["artifacts_dir"] else []

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _is_sayable(path: str) -> bool:
    try:
        return "\\" not in path and bool(path.encode())
    except UnicodeEncodeError:
        return False


def _is_healthy() -> bool:
    try:
        url = f"http://127.0.0.1:{STREAMING_PORT}/health"
        # A proxy in the job's environment is not for its own machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=HEALTH_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the job and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def main(folder: str, root: str = "/") -> None:
    """Runs the job in a folder."""
    job = json.loads(Path(folder, "job.json").read_text("utf-8"))
    Runner(job, root, Teller()).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
