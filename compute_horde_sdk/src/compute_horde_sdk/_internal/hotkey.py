"""Any object that signs, as the project's `Signer`.

Only bytes are handed to it: the wallet library reads a text that starts with ``0x`` as hex.
"""

from typing import Protocol

from compute_horde_common.protocol.signatures import SIGNATURE_BYTES
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError


class SigningKey(Protocol):
    """A hotkey, for example a ``bittensor_wallet.Keypair``."""

    @property
    def ss58_address(self) -> str | None:
        """The public address."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """The 64-byte sr25519 signature of ``data``."""
        ...


class Wallet(Protocol):
    """Something that has a hotkey, for example a ``bittensor_wallet.Wallet``."""

    @property
    def hotkey(self) -> SigningKey:
        """The hotkey."""
        ...


class HotkeySigner:
    """Signs with a user's hotkey."""

    def __init__(self, hotkey: SigningKey | Wallet) -> None:
        self.key = _signing_key(hotkey)
        self.ss58 = str(self.key.ss58_address)
        if not self.ss58.isascii() or not self.ss58.isprintable():
            raise ComputeHordeValidationError("hotkey", f"{self.ss58!r:.100} is no ss58 address")

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of ``data``.

        Raises:
            ComputeHordeError: the hotkey cannot sign, for example because it is a public key only.
        """
        try:
            signature: object = self.key.sign(bytes(data))
        except Exception as error:
            # Any object may be the hotkey, so its errors cannot be known.
            raise ComputeHordeError(f"the hotkey {self.ss58} cannot sign: {error}") from error
        if isinstance(signature, str):
            signature = _from_hex(signature)
        if not isinstance(signature, bytes | bytearray) or len(signature) != SIGNATURE_BYTES:
            raise ComputeHordeError(
                f"the hotkey {self.ss58} gave no signature of {SIGNATURE_BYTES} bytes"
            )
        return bytes(signature)


def _signing_key(hotkey: object) -> SigningKey:
    # A wallet opens its hotkey's file when it is asked for it, and has errors of its own.
    try:
        key = hotkey if callable(getattr(hotkey, "sign", None)) else getattr(hotkey, "hotkey", None)
    except Exception as error:
        raise ComputeHordeError(f"the wallet's hotkey cannot be opened: {error}") from error
    if not callable(getattr(key, "sign", None)) or not getattr(key, "ss58_address", None):
        raise ComputeHordeValidationError(
            "hotkey",
            f"{type(hotkey).__name__} cannot sign; give a hotkey such as"
            " bittensor_wallet.Wallet(name=..., hotkey=...).hotkey",
        )
    return key  # type: ignore[return-value]  # what a SigningKey needs was just found


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return b""
