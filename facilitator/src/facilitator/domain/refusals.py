"""Why a request is not done. All are `Refused`, with texts that are meant for its sender.

`Malformed` (named fields are wrong), `NoValidator`, `Conflict`, `NotFound`, `AlreadyReported`,
`NotLoggedIn`, `LoginRefused` with `WrongSignature` under it, and of a body `TooLarge`, `NotJson`
and `WrongType`; `TooMany` where too much is wanted at once. `JobUnknown` is said to validators.
"""

from collections.abc import Mapping, Sequence


class Refused(Exception):
    """A request that is not done."""


class Malformed(Refused):
    """What is wrong, by the field in which it is."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{name}: {', '.join(told)}" for name, told in fields.items()))
        self.fields = fields


class NoValidator(Refused):
    """The validator that a job is for is not known, or not connected."""


class Conflict(Refused):
    """The request contradicts an earlier one."""


class NotFound(Refused):
    """There is no such thing, or it is somebody else's."""


class AlreadyReported(Refused):
    """A job can be reported once."""


class TooMany(Refused):
    """The sender has as many of these open as one may have."""


class NotLoggedIn(Refused):
    """The token is missing, no good, or too old."""


class LoginRefused(Refused):
    """No token for this hotkey."""


class WrongSignature(LoginRefused):
    """The nonce was not signed by the hotkey."""


class TooLarge(Refused):
    """The body has more bytes than are taken."""


class NotJson(Refused):
    """The body is no JSON."""


class WrongType(Refused):
    """The body does not say that it is JSON."""


class JobUnknown(Refused):
    """The validator has no such job."""
