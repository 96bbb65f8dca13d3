import pytest
from bittensor_wallet import Keypair

from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeValidationError
from tests.conftest import VALIDATOR

PUBLISHED = "https://facilitator.computehorde.io/"


def test_the_facilitator_is_the_published_one(
    keypair: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPUTE_HORDE_FACILITATOR_URL", raising=False)

    assert ComputeHordeClient(keypair, VALIDATOR).facilitator_url == PUBLISHED


def test_the_environment_may_name_another_facilitator(
    keypair: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPUTE_HORDE_FACILITATOR_URL", "http://other")

    assert ComputeHordeClient(keypair, VALIDATOR).facilitator_url == "http://other"


def test_an_empty_variable_names_none(keypair: Keypair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPUTE_HORDE_FACILITATOR_URL", "")

    assert ComputeHordeClient(keypair, VALIDATOR).facilitator_url == PUBLISHED


def test_a_facilitator_that_the_program_names_is_the_one(
    keypair: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPUTE_HORDE_FACILITATOR_URL", "http://other")

    client = ComputeHordeClient(keypair, VALIDATOR, facilitator_url="http://mine/api/v1/")

    assert client.facilitator_url == "http://mine/api/v1/"


def test_a_variable_that_is_no_url_is_refused(
    keypair: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPUTE_HORDE_FACILITATOR_URL", "other")

    with pytest.raises(ComputeHordeValidationError, match="facilitator_url"):
        ComputeHordeClient(keypair, VALIDATOR)
