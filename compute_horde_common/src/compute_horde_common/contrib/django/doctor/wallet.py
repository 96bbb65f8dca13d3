"""Whether the hotkey's file is there, can be read, and is what it should be."""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compute_horde_common.chain.interface import WalletUnreadable
from compute_horde_common.contrib.django.doctor.findings import Finding, fail, ok, warn
from compute_horde_common.protocol.signatures import Signer

_ENCRYPTED = (b"$NACL", b"$ANSIBLE_VAULT", b"gAAAAA")
_SHARED = stat.S_IRWXG | stat.S_IRWXO
_MOST_BYTES = 1 << 16
COPY = (
    "Copy the hotkey's file there: never the coldkey's. BITTENSOR_WALLET_NAME and"
    " BITTENSOR_WALLET_HOTKEY_NAME name it; in Docker Compose, HOST_WALLET_DIR in .env is the"
    " folder of wallets on this machine."
)


@dataclass(frozen=True, slots=True)
class Wallet:
    """Where a hotkey is, and how to open it.

    Attributes:
        directory: where wallets are.
        name: the wallet's.
        hotkey_name: the hotkey's.
        open: the key itself; raises `WalletUnreadable`.
    """

    directory: Path
    name: str
    hotkey_name: str
    open: Callable[[], Signer]

    async def hotkey_is_good(self) -> Finding:
        """Whether the service can sign with it."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Finding:
        folder = self.directory.expanduser() / self.name
        path = folder / "hotkeys" / self.hotkey_name
        fault = _fault(path)
        if fault is not None:
            return fault
        try:
            signer = self.open()
            signer.sign(b"doctor")
        except WalletUnreadable as error:
            return fail(str(error), COPY)
        except Exception as error:  # noqa: BLE001 - the wallet library raises what it likes
            return fail(f"{path} cannot sign: it holds no private key ({error})", COPY)
        return _care(folder, path, signer.ss58)


def _fault(path: Path) -> Finding | None:
    try:
        text = path.read_bytes()[:_MOST_BYTES]
    except FileNotFoundError:
        return fail(f"there is no hotkey file {path}", COPY)
    except PermissionError:
        return _unreadable(path)
    except OSError as error:
        return fail(f"{path} cannot be read: {error.strerror}", COPY)
    wrong = _wrong_with(text)
    return fail(f"{path} {wrong}", COPY) if wrong else None


def _wrong_with(text: bytes) -> str | None:
    if not text.strip():
        return "is empty"
    if text.startswith(_ENCRYPTED):
        return "is encrypted, as coldkeys are; services need an open hotkey"
    try:
        fields = json.loads(text)
    except ValueError:
        return "is no JSON, so it is no hotkey file"
    if not isinstance(fields, dict) or "ss58Address" not in fields:
        return "is JSON, but no hotkey file: it has no ss58Address"
    return None


def _unreadable(path: Path) -> Finding:
    us = os.geteuid()
    return fail(
        f"{path} cannot be read by user {us}",
        f"`sudo chown {us} {path}`, and let everybody pass the folders above it (`chmod o+x`).",
    )


def _care(folder: Path, path: Path, ss58: str) -> Finding:
    if (folder / "coldkey").exists():
        return warn(
            f"hotkey {ss58}; beside it lies {folder / 'coldkey'}",
            "A coldkey must never be on a server: remove it here, and keep it on your own machine.",
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _SHARED:
        return warn(f"hotkey {ss58}; others can read {path} (mode {mode:o})", f"chmod 600 {path}")
    return ok(f"hotkey {ss58}")
