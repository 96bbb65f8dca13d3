"""Which statuses are wanted of a list of jobs."""

from collections.abc import Collection

from compute_horde_sdk._internal.counting import LARGEST_PAGE, whole_number
from compute_horde_sdk._internal.errors import ComputeHordeValidationError
from compute_horde_sdk._internal.results import ComputeHordeJobStatus

WantedStatus = str | Collection[str] | None
"""A status, or several, as members of `ComputeHordeJobStatus` or as text; ``None`` for all."""


class Statuses:
    """The statuses that are wanted; ``names`` is empty where all are.

    Raises:
        ComputeHordeValidationError: there is no such status.
    """

    def __init__(self, wanted: WantedStatus) -> None:
        self._all = wanted is None
        members = [_member(each) for each in _several(wanted)]
        self.names = [member.value for member in dict.fromkeys(members)]
        if not self._all and not members:
            raise ComputeHordeValidationError("status", "names no status; leave it out for all")

    def parameters(self, page: object, page_size: object) -> dict[str, str | list[str]]:
        """Those of a question for a page.

        Raises:
            ComputeHordeValidationError: there can be no such page.
        """
        numbers: dict[str, str | list[str]] = {
            "page": whole_number("page", page, least=1, most=LARGEST_PAGE),
            "page_size": whole_number("page_size", page_size, least=1, most=LARGEST_PAGE),
        }
        return numbers | ({"status": self.names} if self.names else {})

    def __contains__(self, status: ComputeHordeJobStatus) -> bool:
        return self._all or status.value in self.names


def _several(wanted: object) -> list[object]:
    if wanted is None:
        return []
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, Collection):
        return list(wanted)
    raise ComputeHordeValidationError("status", "must be a status, or a list of statuses")


def _member(wanted: object) -> ComputeHordeJobStatus:
    try:
        return ComputeHordeJobStatus(str(wanted))
    except ValueError:
        known = ", ".join(member.value for member in ComputeHordeJobStatus)
        raise ComputeHordeValidationError(
            "status", f"{wanted!r:.100} is no status; there are {known}"
        ) from None
