"""What a container wrote, in the form in which it travels."""

from collections.abc import Sequence

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, EngineUnavailable, Logs

MAX_CHARACTERS = 1_000_000
"""Of one stream, in a message. Longer ones lose their middle."""

READ_SECONDS = 60

_HALF = MAX_CHARACTERS // 2
_CUT = " ... "
_NOTES = 100
# A character has at most four bytes: never fewer characters than wanted are kept.
_HALF_BYTES = 4 * _HALF


def shortened(text: str) -> str:
    """``text``, or its beginning and its end where it is longer than ``MAX_CHARACTERS``."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:_HALF]}{_CUT}{text[-_HALF:]}"


def with_notes(text: str, left_out: Sequence[str]) -> str:
    """``text``, and at its end what is missing and why: there the job's author finds it."""
    if not left_out:
        return text
    lines = list(left_out[:_NOTES])
    if more := len(left_out) - len(lines):
        lines.append(f"and {more} more left out")
    notes = "".join(f"[compute-horde] {line}\n" for line in lines)
    between = "\n" if text and not text.endswith("\n") else ""
    return shortened(f"{text}{between}{notes}")


async def read_logs(engine: ContainerEngine, container_id: str, clock: Clock) -> Logs:
    """What the container wrote until now, short enough for a message.

    Raises:
        EngineUnavailable: it could not be read within ``READ_SECONDS``.
    """
    try:
        async with clock.timeout(READ_SECONDS):
            logs = await engine.logs(container_id, head_bytes=_HALF_BYTES, tail_bytes=_HALF_BYTES)
    except TimeoutError:
        raise EngineUnavailable(f"The output was not read within {READ_SECONDS} s") from None
    return Logs(shortened(logs.stdout), shortened(logs.stderr))
