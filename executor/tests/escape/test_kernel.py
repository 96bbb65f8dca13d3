"""What only the host's owner may ask of the kernel is refused to a job, even to its root user."""

import pytest

from tests.escape.attacker import Attacker
from tests.escape.attacks import kernel, ring

# Libraries that are told that a call does not exist take an older one, which is then refused.
OTHERWISE = {
    "clone3 into a user namespace": "ENOSYS",
    "be spared when memory is short": "EACCES",
}


@pytest.mark.parametrize("attack", kernel.ATTACKS)
async def test_the_kernel_refuses(attacker: Attacker, attack: str) -> None:
    assert await attacker.said(kernel, attack) == OTHERWISE.get(attack, "EPERM")


async def test_a_ring_gets_around_nothing(attacker: Attacker) -> None:
    answers = await attacker.said(ring, "/dev/null", "/proc/sys/kernel/core_pattern")

    # Docker's filter lets rings be, and the file system refuses; later ones refuse the ring itself.
    assert answers in {"done EROFS", "EPERM EPERM"}
