from compute_horde_common.chain.interface import Metagraph, Neuron, chain_validators


def neuron(uid: int, stake: float) -> Neuron:
    return Neuron(uid, f"hotkey{uid}", "coldkey", stake, None, validator_permit=True, last_update=0)


def metagraph(*stakes: float) -> Metagraph:
    neurons = tuple(neuron(uid, stake) for uid, stake in enumerate(stakes))
    return Metagraph(netuid=12, block=1, block_hash="0x01", neurons=neurons)


def uids(neurons: list[Neuron]) -> list[int]:
    return [neuron.uid for neuron in neurons]


def test_validators_come_by_stake() -> None:
    assert uids(chain_validators(metagraph(1000, 3000, 2000))) == [1, 2, 0]


def test_who_is_below_the_minimum_does_not_validate() -> None:
    assert uids(chain_validators(metagraph(999.9, 1000), minimum_stake=1000)) == [1]


def test_only_the_first_few_validate() -> None:
    assert len(chain_validators(metagraph(*[5000.0] * 30))) == 24


def test_equal_stakes_are_ordered_by_uid() -> None:
    assert uids(chain_validators(metagraph(5000, 5000, 5000), limit=2)) == [0, 1]


def test_favoured_hotkeys_come_first_and_count() -> None:
    chosen = chain_validators(metagraph(5000, 0, 4000, 3000), limit=3, always={"hotkey1"})

    assert uids(chosen) == [1, 0, 2]


def test_a_favoured_hotkey_that_is_not_registered_is_not_made_up() -> None:
    assert chain_validators(metagraph(0), always={"hotkey9"}) == []
