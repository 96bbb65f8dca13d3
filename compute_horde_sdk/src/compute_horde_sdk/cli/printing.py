"""What is written where: results to stdout, everything else to stderr.

What comes from the network is shown without its control characters, and never as markup.
"""

import errno
import json
import sys

from rich.console import Console
from rich.text import Text
from typing_extensions import override

_UNFOLDED = 1000
"""A pipe has no width; what is written there need not be folded."""


class _Console(Console):
    @override
    def on_broken_pipe(self) -> None:
        """Leaves it to the command, which may have a job to end."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads the output")


def out() -> Console:
    """Where results go."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)


def err() -> Console:
    """Where everything else goes."""
    width = None if sys.stderr.isatty() else _UNFOLDED
    return _Console(stderr=True, highlight=False, width=width, soft_wrap=True)


def plain(text: object) -> str:
    """A text without what would steer a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd"
        for character in str(text)
    )


def foreign(text: object, style: str = "") -> Text:
    """A text from elsewhere, as it may be shown."""
    return Text(plain(text), style=style)


def print_json(value: object) -> None:
    """Writes one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_json_line(value: object) -> None:
    """Writes one line of JSON to stdout, at once."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def complain(message: str, fix: str) -> None:
    """Writes an error to stderr."""
    line = Text.assemble(("error: ", "bold red"), foreign(message))
    err().print(line)
    if fix:
        err().print(foreign(fix, "cyan"))
