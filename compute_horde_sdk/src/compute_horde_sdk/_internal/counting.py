"""Whole numbers that users give."""

import re

from compute_horde_sdk._internal.errors import ComputeHordeValidationError

LARGEST_OFFSET = 2**63 - 1
LARGEST_PAGE = 999_999_999
_DIGITS = re.compile("[0-9]{1,18}")


def whole_number(field: str, value: object, *, least: int, most: int) -> str:
    """The digits of a whole number, which may be given as these.

    Raises:
        ComputeHordeValidationError: it is none, or is not from ``least`` to ``most``.
    """
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
    if not isinstance(number, int) or not least <= number <= most:
        raise ComputeHordeValidationError(field, f"must be a whole number from {least}")
    return str(int(number))
