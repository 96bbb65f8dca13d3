"""Executors without their start: one process that has loaded everything and forks on request.

For whoever runs many executors on one host as child processes: an executor started alone takes
half a second of CPU before it can say a word, a forked one a few milliseconds.

On standard input comes one JSON object per line, the environment variables of one executor, added
to the nursery's own. On standard output goes one JSON object per event: ``{"token", "pid"}`` when
an executor has started, ``{"token", "pid", "status"}`` when it has ended, where a negative status
is the signal that ended it, and ``{"error"}`` for a line that was not understood. At the end of its
input the nursery ends; executors go on and end with their sockets, or by a signal to their pids.
"""

import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from executor import wiring

_STDIN, _STDOUT = 0, 1
_READ_BYTES = 65_536
_MAX_LINE_BYTES = 1 << 20
_CRASHED = 70

Run = Callable[[], int]
"""Runs one executor in this process's environment; returns its exit status."""


def tend(run: Run) -> int:
    """Forks executors as they are asked for, until the input ends."""
    wiring.preload()
    gc.freeze()
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    nursery = _Nursery(run)
    while True:
        ready, _, _ = select.select([_STDIN, woken], [], [])
        if woken in ready:
            os.read(woken, _READ_BYTES)
            nursery.bury()
        if _STDIN in ready and not nursery.hear():
            return 0


class _Nursery:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._tokens: dict[int, str] = {}
        self._unread = b""

    def hear(self) -> bool:
        """Does what is asked for; False once nobody will ask for anything more."""
        data = os.read(_STDIN, _READ_BYTES)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._start(line)
        return bool(data) and len(self._unread) <= _MAX_LINE_BYTES

    def bury(self) -> None:
        """Says which executors have ended."""
        for pid in list(self._tokens):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                _say(token=self._tokens.pop(pid), pid=pid, status=code)

    def _start(self, line: bytes) -> None:
        try:
            variables = _variables(line)
        except ValueError as fault:
            _say(error=str(fault))
            return
        pid = os.fork()
        if pid == 0:
            _become_executor(variables, self._run)
        token = variables.get("EXECUTOR_TOKEN", "")
        self._tokens[pid] = token
        _say(token=token, pid=pid)


def _become_executor(variables: dict[str, str], run: Run) -> NoReturn:
    """The rest of a forked child's life. It keeps standard error, for its log."""
    status = _CRASHED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, _STDIN)
        os.dup2(nowhere, _STDOUT)
        os.environ.update(variables)
        status = run()
    except Exception:  # noqa: BLE001 - the top of a process, which ends without Python's own report
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _variables(line: bytes) -> dict[str, str]:
    found = json.loads(line)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("expected a JSON object of strings")
    return found


def _say(**event: str | int) -> None:
    os.write(_STDOUT, json.dumps(event).encode() + b"\n")
