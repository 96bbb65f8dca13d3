"""Self-signed certificates, as files and as text."""

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate

from compute_horde_common.clock import SystemClock
from compute_horde_sdk._internal.certificates import new_streaming_key

PRIVATE = 0o600


def generate_certificate(alternative_name: str) -> tuple[Certificate, RSAPrivateKey]:
    """A certificate for ``localhost`` and another host name or IP address, and its key."""
    made = new_streaming_key(SystemClock().now(), alternative_name)
    return made.certificate, made.private_key


def serialize_certificate(certificate: Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def serialize_private_key(private_key: RSAPrivateKey) -> bytes:
    """The key as PEM (PKCS 8), not encrypted."""
    return private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Writes it as PEM."""
    path.write_bytes(serialize_certificate(certificate))


def write_private_key(private_key: RSAPrivateKey, path: Path) -> None:
    """Writes it as PEM, to a file that only its owner can read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(serialize_private_key(private_key))


def save_public_key(public_key: str, dir_path: Path) -> None:
    """Writes a client's certificate to ``ssl/client.crt`` below a folder."""
    (dir_path / "ssl" / "client.crt").write_text(public_key)


def generate_certificate_at(
    dir_path: Path | None = None, alternative_name: str = "127.0.0.1"
) -> tuple[Path, str, tuple[str, str]]:
    """A certificate and its key in the folder ``ssl``, made below ``dir_path`` or a temporary one.

    Returns:
        That folder's parent, the certificate as PEM, and the paths of certificate and key.
    """
    parent = dir_path if dir_path is not None else Path(tempfile.mkdtemp())
    folder = parent / "ssl"
    folder.mkdir()
    certificate, private_key = generate_certificate(alternative_name)
    write_certificate(certificate, folder / "certificate.pem")
    write_private_key(private_key, folder / "private_key.pem")
    paths = (str(folder / "certificate.pem"), str(folder / "private_key.pem"))
    return parent, serialize_certificate(certificate).decode(), paths
