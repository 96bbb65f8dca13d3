import asyncio
import json
import os
from pathlib import Path

import pytest

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.contrib.django.doctor.wallet import COPY, Wallet

NOBODY = 65534


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A good hotkey's file."""
    Hotkey.from_uri("//Alice").write_wallet(tmp_path, "mine", "default")
    return tmp_path / "mine" / "hotkeys" / "default"


ALICE = Hotkey.from_uri("//Alice").ss58


def _look(key: Path) -> Finding:
    directory = key.parent.parent.parent
    wallet = Wallet(
        directory, "mine", "default", open=lambda: Hotkey.from_wallet(directory, "mine", "default")
    )
    return asyncio.run(wallet.hotkey_is_good())


def test_a_good_hotkey_is_told_by_its_address(key: Path) -> None:
    assert _look(key) == ok(f"hotkey {ALICE}")


def test_a_missing_hotkey_is_told(key: Path) -> None:
    key.unlink()

    assert _look(key) == fail(f"there is no hotkey file {key}", COPY)


def test_a_folder_in_place_of_the_file_is_told(key: Path) -> None:
    key.unlink()
    key.mkdir()

    assert _look(key) == fail(f"{key} cannot be read: Is a directory", COPY)


def test_a_file_that_is_somebody_elses_is_told_with_the_way_out(key: Path) -> None:
    key.chmod(0)
    us = os.geteuid()
    as_whom = us or NOBODY

    os.seteuid(as_whom)
    try:
        finding = _look(key)
    finally:
        os.seteuid(us)

    assert finding == fail(
        f"{key} cannot be read by user {as_whom}",
        f"`sudo chown {as_whom} {key}`, and let everybody pass the folders above it (`chmod o+x`).",
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\xff\xfe garbage", "is no JSON, so it is no hotkey file"),
        (b'["a", "list"]', "is JSON, but no hotkey file: it has no ss58Address"),
        (b"$NACL\x00\x01", "is encrypted, as coldkeys are; services need an open hotkey"),
    ],
)
def test_a_file_that_is_no_hotkey_is_told_by_what_it_is(
    key: Path, content: bytes, what: str
) -> None:
    key.write_bytes(content)

    assert _look(key) == fail(f"{key} {what}", COPY)


def test_a_public_half_in_place_of_the_hotkey_is_told(key: Path) -> None:
    fields = json.loads(key.read_text())
    key.write_text(json.dumps({name: fields[name] for name in ("ss58Address", "publicKey")}))

    finding = _look(key)

    assert finding.found.startswith(f"{key} ")
    assert finding == fail(finding.found, COPY)


def test_a_hotkey_that_others_can_read_is_warned_of(key: Path) -> None:
    key.chmod(0o644)

    assert _look(key) == warn(
        f"hotkey {ALICE}; others can read {key} (mode 644)", f"chmod 600 {key}"
    )


def test_a_coldkey_beside_it_is_warned_of(key: Path) -> None:
    coldkey = key.parent.parent / "coldkey"
    coldkey.write_text("secret")

    assert _look(key) == warn(
        f"hotkey {ALICE}; beside it lies {coldkey}",
        "A coldkey must never be on a server: remove it here, and keep it on your own machine.",
    )
