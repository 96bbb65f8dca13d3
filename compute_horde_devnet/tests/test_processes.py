import os
import sys
from pathlib import Path

import pytest

from compute_horde_devnet.processes import (
    Child,
    Identity,
    ProcessFailed,
    finish,
    spawn,
    stop,
    wait_until,
)

STUBBORN = (
    "import pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).touch()\n"
    "signal.pause()\n"
)


def run(folder: Path, program: str, *arguments: str) -> Child:
    return spawn(
        "child",
        [sys.executable, "-c", program, *arguments],
        env=dict(os.environ),
        log=folder / "logs" / "child.log",
        die_with_parent=True,
        cwd=folder,
    )


def test_a_process_that_ends_too_early_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = run(tmp_path, "print('no such port'); raise SystemExit(3)")

    with pytest.raises(ProcessFailed, match=r"(?s)ended with 3.*no such port"):
        wait_until(lambda: False, [child], what="a port", seconds=20)


def test_a_process_that_is_never_ready_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    child = run(tmp_path, "input() if False else __import__('signal').pause()")

    with pytest.raises(ProcessFailed, match="not ready after 0 s"):
        wait_until(lambda: False, [child], what="a port", seconds=0.1)
    stop([child])


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="ended with 1"):
        finish(run(tmp_path, "raise SystemExit(1)"), seconds=20)


def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = run(tmp_path, STUBBORN, str(ready))
    wait_until(ready.exists, [child], what="the child", seconds=20)

    stop([child], seconds=0.2)

    assert not child.running


def test_a_process_that_took_over_a_number_is_not_taken_for_the_former(tmp_path: Path) -> None:
    child = run(tmp_path, "__import__('signal').pause()")
    somebody_else = Child("x", Identity(child.identity.pid, child.identity.created - 100), tmp_path)

    stop([somebody_else])

    assert child.running
    stop([child])
