"""Hotkeys: sr25519 keys that sign for a service, and checking what others have signed.

The wallet library reads a text that starts with ``0x`` as hex, so only bytes are handed to it.
An address counts only in its one canonical spelling (format 42): the same key written for another
network would be a second identity.
"""

from pathlib import Path
from typing import Self

from bittensor_wallet import Keypair, Wallet

from compute_horde_common.chain.interface import WalletUnreadable

SS58_FORMAT = 42
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
LONGEST_ADDRESS = 64
CHECK_NAMES = "Check the wallet's directory, its name and the name of the hotkey"


class Hotkey:
    """A key of a service. Its text forms never show the secret."""

    __slots__ = ("_keypair", "ss58")

    ss58: str

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self.ss58 = str(keypair.ss58_address)

    def __repr__(self) -> str:
        return f"Hotkey({self.ss58})"

    @classmethod
    def generate(cls) -> Self:
        """A new random key."""
        return cls(Keypair.create_from_mnemonic(Keypair.generate_mnemonic()))

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """The well-known key of a development name such as ``//Alice``; no secret at all."""
        return cls(Keypair.create_from_uri(uri))

    @classmethod
    def from_wallet(cls, directory: Path | str, wallet_name: str, hotkey_name: str) -> Self:
        """The hotkey of a bittensor wallet directory.

        Raises:
            WalletUnreadable: the file is missing, malformed or encrypted.
        """
        file = _wallet(directory, wallet_name, hotkey_name).hotkey_file
        try:
            with Path(file.path).open("rb"):
                pass
        except (FileNotFoundError, NotADirectoryError):
            raise WalletUnreadable(f"there is no hotkey file {file.path}. {CHECK_NAMES}") from None
        except OSError as error:
            raise WalletUnreadable(f"{file.path} cannot be read: {error.strerror}") from error
        try:
            keypair = None if file.is_encrypted() else file.get_keypair()
        except Exception as error:
            raise WalletUnreadable(f"{file.path} is no hotkey file: {error}") from error
        if keypair is None:
            raise WalletUnreadable(f"{file.path} is encrypted; services need an open hotkey")
        return cls(keypair)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes that the address stands for."""
        return bytes(self._keypair.public_key or b"")

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of ``data``."""
        return bytes(self._keypair.sign(bytes(data)))

    def write_wallet(
        self,
        directory: Path | str,
        wallet_name: str,
        hotkey_name: str,
        *,
        coldkey: str | None = None,
    ) -> Path:
        """Writes a bittensor wallet that holds this hotkey, unencrypted, for its owner's eyes only.

        The coldkey is written as its public half; it is the hotkey itself where none is given. An
        existing wallet is replaced.

        Returns:
            The folder of the wallet.
        """
        root = Path(directory)
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        wallet = _wallet(root, wallet_name, hotkey_name)
        wallet.set_hotkey(self._keypair, encrypt=False, overwrite=True)
        public = Keypair(ss58_address=coldkey or self.ss58, ss58_format=SS58_FORMAT)
        wallet.set_coldkeypub(public, encrypt=False, overwrite=True)
        folder = root / wallet_name
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        return folder


def verify(ss58: str, data: bytes, signature: bytes) -> bool:
    """Whether that hotkey signed that data. False for anything malformed; never raises."""
    if len(signature) != SIGNATURE_BYTES or not is_ss58(ss58):
        return False
    try:
        key = Keypair(ss58_address=ss58, ss58_format=SS58_FORMAT)
        return bool(key.verify(bytes(data), bytes(signature)))
    except (ValueError, TypeError):
        return False


def is_ss58(text: str) -> bool:
    """Whether it is an address of this chain in its canonical spelling."""
    try:
        public_key_of(text)
    except ValueError:
        return False
    return True


def public_key_of(ss58: str) -> bytes:
    """The 32 bytes that an address stands for.

    Raises:
        ValueError: it is no address of this chain.
    """
    if not ss58.isascii() or len(ss58) > LONGEST_ADDRESS:
        raise ValueError("not an ss58 address")
    key = bytes(Keypair(ss58_address=ss58, ss58_format=SS58_FORMAT).public_key or b"")
    if len(key) != PUBLIC_KEY_BYTES or ss58_from_public_key(key) != ss58:
        raise ValueError(f"{ss58} is not an address of this chain")
    return key


def ss58_from_public_key(key: bytes) -> str:
    """The address of 32 bytes.

    Raises:
        ValueError: there are not 32 of them.
    """
    if len(key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(key)}")
    return str(Keypair(public_key=key.hex(), ss58_format=SS58_FORMAT).ss58_address)


def _wallet(directory: Path | str, wallet_name: str, hotkey_name: str) -> Wallet:
    path = Path(directory).expanduser()
    return Wallet(name=wallet_name, hotkey=hotkey_name, path=str(path))
