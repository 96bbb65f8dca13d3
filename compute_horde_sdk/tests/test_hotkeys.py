"""Whatever signs can be the hotkey."""

from pathlib import Path

import pytest
from bittensor_wallet import Keypair, Wallet

from compute_horde_common.chain.keys import Hotkey
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeValidationError,
)
from tests.conftest import VALIDATOR, SpecMaker
from tests.facilitator import FakeFacilitator


def client_of(hotkey: object, facilitator: FakeFacilitator) -> ComputeHordeClient:
    return ComputeHordeClient(
        hotkey,  # type: ignore[arg-type]  # also those that cannot sign
        VALIDATOR,
        facilitator_url="http://facilitator",
        transport=facilitator.transport,
    )


class OwnKey:
    """The least that a hotkey can be; ``answer`` is what it says instead of a signature."""

    def __init__(self, keypair: Keypair, answer: object = None) -> None:
        self._keypair = keypair
        self._answer = answer
        self.ss58_address = str(keypair.ss58_address)

    def sign(self, data: bytes) -> object:
        return self._keypair.sign(data) if self._answer is None else self._answer


async def test_a_keypair_signs(
    facilitator: FakeFacilitator, spec: SpecMaker, keypair: Keypair
) -> None:
    async with client_of(keypair, facilitator) as client:
        await client.create_job(spec())

    assert client.hotkey is keypair
    assert facilitator.last.headers["X-CH-Signatory"] == keypair.ss58_address


async def test_any_object_that_signs_is_a_hotkey(
    facilitator: FakeFacilitator, keypair: Keypair
) -> None:
    async with client_of(OwnKey(keypair), facilitator) as client:
        await client.authenticate()

    assert facilitator.logins == 1


async def test_a_wallet_stands_for_its_hotkey(facilitator: FakeFacilitator, tmp_path: Path) -> None:
    hotkey = Hotkey.generate()
    hotkey.write_wallet(tmp_path, "mine", "first")
    wallet = Wallet(name="mine", hotkey="first", path=str(tmp_path))

    async with client_of(wallet, facilitator) as client:
        await client.authenticate()

    assert facilitator.logins == 1
    assert client.hotkey.ss58_address == hotkey.ss58


def test_a_wallet_without_a_hotkey_is_named(facilitator: FakeFacilitator, tmp_path: Path) -> None:
    wallet = Wallet(name="mine", hotkey="first", path=str(tmp_path))

    with pytest.raises(ComputeHordeError, match="hotkey cannot be opened"):
        client_of(wallet, facilitator)


@pytest.mark.parametrize("hotkey", [None, VALIDATOR, 5, object()])
def test_what_cannot_sign_is_refused(facilitator: FakeFacilitator, hotkey: object) -> None:
    with pytest.raises(ComputeHordeValidationError, match=r"Wallet\(name=") as refused:
        client_of(hotkey, facilitator)

    assert refused.value.field == "hotkey"


async def test_a_public_key_cannot_log_in(facilitator: FakeFacilitator, keypair: Keypair) -> None:
    public = Keypair(ss58_address=keypair.ss58_address)

    async with client_of(public, facilitator) as client:
        with pytest.raises(ComputeHordeError, match="cannot sign"):
            await client.authenticate()


@pytest.mark.parametrize("answer", [b"short", "0xzz", 5])
async def test_what_is_no_signature_is_not_sent(
    facilitator: FakeFacilitator, keypair: Keypair, answer: object
) -> None:
    async with client_of(OwnKey(keypair, answer), facilitator) as client:
        with pytest.raises(ComputeHordeError, match="no signature of 64 bytes"):
            await client.authenticate()

    assert facilitator.last.url.path == "/auth/nonce"
