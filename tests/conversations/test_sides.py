from compute_horde_common.contrib.django import outbox
from tests.conversations.sides import Side, at


async def test_each_side_has_its_own_outbox() -> None:
    await at(Side.VALIDATOR, outbox.put)("facilitator", "job", "body")

    assert len(await at(Side.VALIDATOR, outbox.pending)("facilitator")) == 1
    assert await at(Side.FACILITATOR, outbox.pending)("facilitator") == []
