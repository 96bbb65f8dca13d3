"""What goes wrong with a command, and the exit statuses that tell it."""

from enum import IntEnum


class Status(IntEnum):
    """Exit statuses of ``horde`` itself; any other is the exit status of a job's container."""

    DONE = 0
    CHECK_FAILED = 1
    WRONG_USAGE = 2
    JOB_FAILED = 120
    REJECTED = 121
    HORDE_FAILED = 122
    TIMED_OUT = 124
    NOT_DONE = 125
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command cannot do what it was asked for: one sentence, what to do about it, and the
    status that ``horde`` exits with."""

    status = Status.NOT_DONE

    def __init__(self, message: str, fix: str = "", *, status: Status | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.status = status if status is not None else self.status


class WrongUsage(CommandFailed):
    """What the user wrote cannot work; nothing was sent."""

    status = Status.WRONG_USAGE
