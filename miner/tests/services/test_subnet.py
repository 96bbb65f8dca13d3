from datetime import datetime, timedelta

import pytest

from compute_horde_common.chain.keys import Hotkey
from miner.domain.admission import Refusal
from miner.models import Validator
from miner.services import subnet
from tests import examples

pytestmark = pytest.mark.django_db


def fault_of(refusal: Refusal | None) -> str | None:
    return refusal.details if refusal else None


def test_a_validator_of_the_chain_is_served(alice: Hotkey) -> None:
    subnet.store_validators([alice.ss58])

    assert subnet.standing(alice.ss58) is None


def test_an_unknown_validator_is_not_served(alice: Hotkey) -> None:
    refusal = subnet.standing(alice.ss58)

    assert refusal is not None
    assert refusal.code == "UNKNOWN_VALIDATOR"


def test_a_validator_that_left_the_chain_is_not_active(alice: Hotkey, charlie: Hotkey) -> None:
    subnet.store_validators([alice.ss58, charlie.ss58])
    subnet.store_validators([charlie.ss58])

    refusal = subnet.standing(alice.ss58)

    assert refusal is not None
    assert refusal.code == "VALIDATOR_INACTIVE"


def test_a_validator_that_came_back_is_served(alice: Hotkey, charlie: Hotkey) -> None:
    subnet.store_validators([alice.ss58])
    subnet.store_validators([charlie.ss58])
    subnet.store_validators([alice.ss58])

    assert subnet.standing(alice.ss58) is None


def test_an_empty_answer_of_the_chain_changes_nothing(alice: Hotkey) -> None:
    subnet.store_validators([alice.ss58])

    subnet.store_validators([])

    assert subnet.standing(alice.ss58) is None


def test_whom_a_person_let_in_stays(alice: Hotkey, charlie: Hotkey) -> None:
    subnet.let_in(alice.ss58)

    subnet.store_validators([charlie.ss58])

    assert subnet.standing(alice.ss58) is None


def test_letting_in_can_be_undone(alice: Hotkey) -> None:
    subnet.let_in(alice.ss58)

    assert subnet.let_out(alice.ss58)
    assert not Validator.objects.exists()
    assert not subnet.let_out(alice.ss58)


def test_a_good_authentication_counts_once(alice: Hotkey, at: datetime) -> None:
    said = examples.authenticate(alice, at + timedelta(seconds=1))

    first = subnet.authenticate(said, alice.ss58, at)
    second = subnet.authenticate(said, alice.ss58, at)

    assert fault_of(first) is None
    assert fault_of(second) == "this authentication was used before"


def test_the_same_signature_in_another_spelling_is_the_same(alice: Hotkey, at: datetime) -> None:
    said = examples.authenticate(alice, at + timedelta(seconds=2))
    spelled = said.model_copy(update={"signature": said.signature[2:].upper()})
    assert subnet.authenticate(said, alice.ss58, at) is None

    assert fault_of(subnet.authenticate(spelled, alice.ss58, at))


@pytest.mark.parametrize("signature", ["", "0x", "rubbish", "0x" + "00" * 64, "0x" + "00" * 63])
def test_a_bad_signature_is_refused(alice: Hotkey, at: datetime, signature: str) -> None:
    said = examples.authenticate(alice, at).model_copy(update={"signature": signature})

    refusal = subnet.authenticate(said, alice.ss58, at)

    assert fault_of(refusal) == "the authentication's signature does not verify"
