"""Stdin, stdout and stderr: closed, broken, or of an encoding that lacks characters."""

import io
import os
import select
import sys
from pathlib import Path


def make_usable() -> None:
    """Lets everything be written, whatever the streams of this process are."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_broken() -> None:
    """Sends nowhere what is written to a stream that nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        asking = select.poll()
        asking.register(stream.fileno(), 0)
        if asking.poll(0):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
