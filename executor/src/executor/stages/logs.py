"""What a container wrote, in the form in which it travels."""

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, EngineUnavailable, Logs

MAX_CHARACTERS = 1_000_000
"""Of one stream, in a message. Longer ones lose their middle."""

READ_SECONDS = 60

_HALF = MAX_CHARACTERS // 2
_CUT = " ... "
# A character has at most four bytes: never fewer characters than wanted are kept.
_HALF_BYTES = 4 * _HALF


def shortened(text: str) -> str:
    """``text``, or its beginning and its end where it is longer than ``MAX_CHARACTERS``."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:_HALF]}{_CUT}{text[-_HALF:]}"


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
