from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.chain.interface import WalletUnreadable
from compute_horde_common.chain.keys import (
    Hotkey,
    is_ss58,
    public_key_of,
    ss58_from_public_key,
    verify,
)

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_ON_POLKADOT = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
ALICE_KEY = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")


def test_a_development_name_gives_its_known_address() -> None:
    assert Hotkey.from_uri("//Alice").ss58 == ALICE


@given(st.binary(max_size=64))
def test_what_a_key_signs_verifies_as_its_own(data: bytes) -> None:
    signature = Hotkey.from_uri("//Alice").sign(data)

    assert len(signature) == 64
    assert verify(ALICE, data, signature)


def test_data_that_looks_like_hex_is_signed_as_it_is() -> None:
    signature = Hotkey.from_uri("//Alice").sign(b"0x616263")

    assert verify(ALICE, b"0x616263", signature)
    assert not verify(ALICE, b"abc", signature)


def test_another_message_does_not_verify() -> None:
    assert not verify(ALICE, b"b", Hotkey.from_uri("//Alice").sign(b"a"))


def test_another_hotkey_does_not_verify() -> None:
    assert not verify(ALICE, b"a", Hotkey.from_uri("//Bob").sign(b"a"))


@given(st.text(max_size=80), st.binary(max_size=70))
def test_rubbish_is_refused_without_an_error(address: str, signature: bytes) -> None:
    assert not verify(address, b"", signature)


@given(st.binary(min_size=64, max_size=64))
def test_random_signatures_are_refused_without_an_error(signature: bytes) -> None:
    assert not verify(ALICE, b"data", signature)


def test_addresses_and_public_keys_translate_into_each_other() -> None:
    assert public_key_of(ALICE) == ALICE_KEY
    assert ss58_from_public_key(ALICE_KEY) == ALICE


@pytest.mark.parametrize("text", ["", "5Grw", ALICE[:-1] + "Z", ALICE + " ", "ä" * 48, "0x" * 20])
def test_what_is_no_address_is_told(text: str) -> None:
    assert not is_ss58(text)


def test_the_same_key_in_another_networks_spelling_is_no_second_identity() -> None:
    signature = Hotkey.from_uri("//Alice").sign(b"a")

    assert not is_ss58(ALICE_ON_POLKADOT)
    assert not verify(ALICE_ON_POLKADOT, b"a", signature)


def test_generated_keys_differ() -> None:
    assert Hotkey.generate().ss58 != Hotkey.generate().ss58


@pytest.mark.parametrize("hotkey", [Hotkey.generate(), Hotkey.from_uri("//Alice")])
def test_a_written_wallet_gives_the_same_key_back(tmp_path: Path, hotkey: Hotkey) -> None:
    hotkey.write_wallet(tmp_path, "owner", "default")

    again = Hotkey.from_wallet(tmp_path, "owner", "default")

    assert verify(hotkey.ss58, b"data", again.sign(b"data"))


def test_a_wallet_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    folder = Hotkey.generate().write_wallet(tmp_path / "wallets", "owner", "default")

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}

    assert modes["default"] == modes["coldkeypub.txt"] == 0o600
    assert modes["hotkeys"] == folder.stat().st_mode & 0o777 == 0o700


def test_a_wallet_names_the_coldkey_it_was_given(tmp_path: Path) -> None:
    folder = Hotkey.generate().write_wallet(tmp_path, "owner", "default", coldkey=ALICE)

    assert ALICE in (folder / "coldkeypub.txt").read_text()


def test_a_missing_wallet_is_named(tmp_path: Path) -> None:
    with pytest.raises(WalletUnreadable, match="owner/hotkeys/default"):
        Hotkey.from_wallet(tmp_path, "owner", "default")


def test_a_damaged_wallet_is_told(tmp_path: Path) -> None:
    folder = Hotkey.generate().write_wallet(tmp_path, "owner", "default")
    (folder / "hotkeys" / "default").write_text("{}")

    with pytest.raises(WalletUnreadable, match="is no hotkey file"):
        Hotkey.from_wallet(tmp_path, "owner", "default")


def test_an_encrypted_wallet_is_refused_without_asking_for_a_password(tmp_path: Path) -> None:
    folder = Hotkey.generate().write_wallet(tmp_path, "owner", "default")
    (folder / "hotkeys" / "default").write_bytes(b"$NACL" + bytes(100))

    with pytest.raises(WalletUnreadable, match="encrypted"):
        Hotkey.from_wallet(tmp_path, "owner", "default")


def test_a_keys_text_forms_do_not_show_the_secret() -> None:
    assert repr(Hotkey.from_uri("//Alice")) == f"Hotkey({ALICE})"
