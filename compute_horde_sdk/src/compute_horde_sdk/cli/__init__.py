"""The ``horde`` command line."""

import importlib.util
import sys
from collections.abc import Sequence

from compute_horde_sdk.cli import streams

_NEEDED = ("typer", "rich", "yaml", "boto3", "bittensor_wallet")
_WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its status.

    Args:
        arguments: what follows ``horde``; by default, what the process was started with.

    Raises:
        SystemExit: always.
    """
    streams.make_usable()
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        sys.stderr.write(
            "horde: the command line is not installed. Run: pip install 'compute-horde-sdk[cli]'\n"
        )
        raise SystemExit(_WRONG_USAGE)
    app = importlib.import_module("compute_horde_sdk.cli.app")
    app.run(sys.argv[1:] if arguments is None else arguments)
