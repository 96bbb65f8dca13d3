"""Whatever signs can be the hotkey."""

from pathlib import Path

import pytest
from bittensor_wallet import Keypair, Wallet

from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeError
from tests.recorder import ALICE, BOB, Recorder


class HardwareKey:
    """A hotkey of another make."""

    ss58_address = ALICE

    def __init__(self, answer: object = None) -> None:
        self.answer = answer

    def sign(self, data: bytes) -> bytes:
        signature: bytes = Keypair.create_from_uri("//Alice").sign(data)
        return signature if self.answer is None else self.answer  # type: ignore[return-value]  # may lie


def test_a_wallet_stands_for_its_hotkey(tmp_path: Path) -> None:
    wallet = Wallet(name="mine", hotkey="default", path=str(tmp_path))
    wallet.set_hotkey(Keypair.create_from_uri("//Alice"), encrypt=False, overwrite=True)

    assert ComputeHordeClient(wallet, BOB).hotkey.ss58_address == ALICE


def test_a_wallet_without_a_hotkey_file_is_named(tmp_path: Path) -> None:
    wallet = Wallet(name="mine", hotkey="default", path=str(tmp_path))

    with pytest.raises(ComputeHordeError, match="hotkey cannot be opened"):
        ComputeHordeClient(wallet, BOB)


async def test_any_object_that_signs_is_a_hotkey(facilitator: Recorder) -> None:
    client = ComputeHordeClient(HardwareKey(), BOB, None, "http://f.test", transport=facilitator)

    await client.authenticate()

    assert facilitator.logins == 1


@pytest.mark.parametrize("answer", [b"short", "0xzz", 5])
async def test_what_is_no_signature_is_not_sent(facilitator: Recorder, answer: object) -> None:
    key = HardwareKey(answer)
    client = ComputeHordeClient(key, BOB, None, "http://f.test", transport=facilitator)

    with pytest.raises(ComputeHordeError, match="no signature of 64 bytes"):
        await client.authenticate()
