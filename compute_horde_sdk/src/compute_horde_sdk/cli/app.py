"""All commands, and what becomes of their errors."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from compute_horde_sdk.cli import job_commands, run_command, setup_commands
from compute_horde_sdk.cli.lazily import lazily
from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage

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
    is_json = "--json" in arguments
    try:
        # Typer tells wrong usage by itself, but only as text.
        status = app(list(arguments), prog_name="horde", standalone_mode=not is_json)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        failed = _failed(error)
        printing.complain(failed.message, failed.fix)
        if is_json:
            _print_failure(failed, is_event=arguments[0] == "run")
        raise SystemExit(int(failed.status)) from None
    raise SystemExit(status or 0)


def _failed(error: Exception) -> CommandFailed:
    if isinstance(error, typer.Abort):
        return CommandFailed("a question was not answered", "Every question is a flag, too.")
    # Errors of typer have this, whether it brings its own click or uses the other one.
    format_message = getattr(error, "format_message", None)
    if format_message is not None:
        return WrongUsage(str(format_message()), "`horde --help`")
    return explaining.explained(error)


def _print_failure(failed: CommandFailed, *, is_event: bool) -> None:
    told = {
        "error": failed.message,
        "fix": failed.fix,
        "horde_exit_status": int(failed.status),
    }
    if is_event:
        printing.print_json_line({"event": "error", **told})
    else:
        printing.print_json(told)
