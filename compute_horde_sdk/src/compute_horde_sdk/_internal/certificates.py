"""The key that a client shows to its streaming job: one per job.

Imported when the first streaming job is created: the library behind it takes its time.
"""

import ipaddress
import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from typing_extensions import Self

from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError

KEY_BITS = 2048
PUBLIC_EXPONENT = 65537
VALID = timedelta(days=365)
FIELD = "streaming_key"
PEM_START = "-----BEGIN "
# The executor's clock may be behind ours.
VALID_BEFORE = timedelta(hours=1)


@dataclass(frozen=True)
class StreamingKey:
    """What the author of a streaming job shows to it: a private key, and the self-signed
    certificate of its public half. Whoever has it can talk to the job in the author's place."""

    certificate: x509.Certificate
    # Keys cannot be compared; the certificate says which one it is.
    private_key: rsa.RSAPrivateKey = field(compare=False, repr=False)

    @property
    def pem(self) -> str:
        """The certificate as text (PEM), without the private key."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def to_pem(self) -> bytes:
        """Private key (PKCS #8, not encrypted) and certificate, as PEM."""
        key = self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key + self.pem.encode()

    @classmethod
    def from_pem(cls, pem: bytes | str) -> Self:
        """What `to_pem` gave.

        Raises:
            ComputeHordeValidationError: it is no RSA key with its certificate.
        """
        if not isinstance(pem, bytes | str):
            raise ComputeHordeValidationError(FIELD, "must be PEM, as bytes or str")
        try:
            content = pem.encode() if isinstance(pem, str) else pem
            certificate = x509.load_pem_x509_certificate(content)
            key = serialization.load_pem_private_key(content, password=None)
            is_pair = key.public_key() == certificate.public_key()
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            problem = f"must be a private key and its certificate as PEM, not encrypted: {error}"
            raise ComputeHordeValidationError(FIELD, problem) from None
        if not is_pair:
            raise ComputeHordeValidationError(
                FIELD, "the private key and the certificate do not belong together"
            )
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ComputeHordeValidationError(FIELD, "must be an RSA key")
        return cls(certificate, key)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file that only its owner can read; a file that is there is replaced.

        Raises:
            ComputeHordeError: the file cannot be written.
        """
        file = _path(path)
        try:
            descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".streaming-key-")
            try:
                with os.fdopen(descriptor, "wb") as opened:
                    opened.write(self.to_pem())
                Path(partial).replace(file)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except (OSError, ValueError) as error:
            raise ComputeHordeError(f"streaming key cannot be saved: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """What `save` wrote.

        Raises:
            ComputeHordeError: the file cannot be read.
            ComputeHordeValidationError: it holds something else.
        """
        file = _path(path)
        try:
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            raise ComputeHordeError(f"streaming key cannot be loaded: {error}") from error
        try:
            return cls.from_pem(content)
        except ComputeHordeValidationError as error:
            raise ComputeHordeValidationError(FIELD, f"{file}: {error.problem}") from None


def _path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ComputeHordeValidationError("path", "must be the path of a file")
    return Path(path)


def streaming_key(given: StreamingKey | str | bytes | os.PathLike[str]) -> StreamingKey:
    """A key, from itself, its PEM (as bytes, or as text that starts like it) or its file's path.

    Raises:
        ComputeHordeError: the file cannot be read.
        ComputeHordeValidationError: it is no key.
    """
    if isinstance(given, StreamingKey):
        return given
    if isinstance(given, bytes) or (isinstance(given, str) and PEM_START in given):
        return StreamingKey.from_pem(given)
    if not isinstance(given, str | os.PathLike):
        raise ComputeHordeValidationError(
            FIELD, "must be a ComputeHordeStreamingKey, its PEM, or the path of its file"
        )
    return StreamingKey.load(given)


def new_streaming_key(now: datetime, alternative_name: str = "127.0.0.1") -> StreamingKey:
    """A fresh key, for ``localhost`` and another host name or IP address.

    Takes about a tenth of a second of CPU.
    """
    key = rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), _name(alternative_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return StreamingKey(certificate, key)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
