"""Hotkeys: sr25519 keys in wallet files as bittensor lays them out. Implements `Signer`.

The wallet library reads text that starts with ``0x`` as hex, so only bytes are handed to it.
"""

from pathlib import Path

from bittensor_wallet import Keyfile, Keypair, Wallet

from compute_horde_common.protocol.signatures import SIGNATURE_BYTES

_SS58_LENGTHS = range(46, 50)


class KeyUnavailable(OSError):  # noqa: N818 - it says what is wrong
    """A wallet's key cannot be read; the text names the file and what to do."""


class Hotkey:
    """A hotkey that can sign. It never shows its secret."""

    def __init__(self, keypair: Keypair) -> None:
        self.keypair = keypair
        self.ss58: str = keypair.ss58_address

    @classmethod
    def from_uri(cls, uri: str) -> "Hotkey":
        """A development key such as ``//Alice``."""
        return cls(Keypair.create_from_uri(uri))

    @classmethod
    def generate(cls) -> "Hotkey":
        """A new random key."""
        return cls(Keypair.create_from_mnemonic(Keypair.generate_mnemonic()))

    @classmethod
    def from_wallet(cls, directory: Path, name: str, hotkey_name: str) -> "Hotkey":
        """The hotkey in ``directory/name/hotkeys/hotkey_name``.

        Raises:
            KeyUnavailable: there is no such file, or it is no readable, unencrypted key.
        """
        path = Path(directory).expanduser() / name / "hotkeys" / hotkey_name
        if not path.is_file():
            raise KeyUnavailable(
                f"there is no hotkey at {path}. Check BITTENSOR_WALLET_DIRECTORY,"
                " BITTENSOR_WALLET_NAME and BITTENSOR_WALLET_HOTKEY_NAME"
            )
        try:
            return cls(Keyfile(str(path)).get_keypair())
        except Exception as error:  # noqa: BLE001 - the extension module raises many kinds
            raise KeyUnavailable(f"the hotkey at {path} cannot be read: {error}") from None

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of ``data``."""
        signature: bytes = self.keypair.sign(bytes(data))
        return signature

    def write_wallet(self, directory: Path, name: str, hotkey_name: str) -> None:
        """Writes a wallet with this hotkey (and this key as its public coldkey), for the owner
        alone to read."""
        home = Path(directory) / name
        (home / "hotkeys").mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        wallet = Wallet(name=name, hotkey=hotkey_name, path=str(directory))
        wallet.set_hotkey(self.keypair, encrypt=False, overwrite=True)
        wallet.set_coldkeypub(Keypair(ss58_address=self.ss58), overwrite=True)
        (home / "hotkeys" / hotkey_name).chmod(0o600)


def verify(ss58: str, data: bytes, signature: bytes) -> bool:
    """Whether that hotkey signed that data. False for whatever is malformed."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        return bool(Keypair(ss58_address=ss58).verify(bytes(data), bytes(signature)))
    except Exception:  # noqa: BLE001 - the extension module raises many kinds
        return False


def is_ss58(text: str) -> bool:
    """Whether ``text`` is the address of a key."""
    try:
        return len(text) in _SS58_LENGTHS and Keypair(ss58_address=text).ss58_address == text
    except Exception:  # noqa: BLE001 - the extension module raises many kinds
        return False


def public_key_of(ss58: str) -> bytes:
    """The 32 bytes behind an address; ``ValueError`` if it is none."""
    if not is_ss58(ss58):
        raise ValueError(f"{ss58[:64]!r} is no SS58 address")
    key: bytes = Keypair(ss58_address=ss58).public_key
    return key


def ss58_from_public_key(public_key: bytes) -> str:
    """The address of 32 bytes; ``ValueError`` for another length."""
    try:
        address: str = Keypair(public_key="0x" + public_key.hex()).ss58_address
    except Exception:  # noqa: BLE001 - the extension module raises many kinds
        raise ValueError("a public key has 32 bytes") from None
    return address
