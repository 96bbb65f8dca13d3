"""All commands, and what becomes of their errors."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from compute_horde_sdk.cli import job_commands, run_command, setup_commands
from compute_horde_sdk.cli.lazily import lazily

if TYPE_CHECKING:
    from compute_horde_sdk.cli import explaining, printing
else:
    explaining = lazily("compute_horde_sdk.cli.explaining")
    printing = lazily("compute_horde_sdk.cli.printing")

DEBUG_VARIABLE = "HORDE_DEBUG"
_HELP = """Run jobs on ComputeHorde.

Begin with `horde login`, then `horde run IMAGE`.
"""

app = typer.Typer(
    name="horde",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_JOBS = "Jobs"
_SETUP = "Set-up"
for _commands, _panel in (
    (run_command.COMMANDS, _JOBS),
    (job_commands.COMMANDS, _JOBS),
    (setup_commands.COMMANDS, _SETUP),
):
    for _name, _command in _commands.items():
        # What follows the image of `horde run` is the container's, with dashes or without.
        _settings = {"allow_interspersed_args": _name != "run"}
        app.command(_name, rich_help_panel=_panel, context_settings=_settings)(_command)


def run(arguments: Sequence[str]) -> None:
    """Runs one command.

    Raises:
        SystemExit: always, with its status.
    """
    try:
        app(list(arguments), prog_name="horde")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        failed = explaining.explained(error)
        printing.complain(failed.message, failed.fix)
        raise SystemExit(int(failed.status)) from None
