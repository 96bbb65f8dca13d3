"""Prepares one service before its first start: ``python -m compute_horde_devnet.prepare``.

All in one process, because starting Python once for each command is most of their time.
Arguments: management commands, separated by ``--``.
"""

import sys

import django
from django.core.management import call_command


def main(arguments: list[str]) -> None:
    """Migrates, makes the administrator, then runs the commands given."""
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("ensure_admin")
    command: list[str] = []
    for argument in [*arguments, "--"]:
        if argument != "--":
            command.append(argument)
        elif command:
            call_command(*command)
            command = []


if __name__ == "__main__":
    main(sys.argv[1:])
