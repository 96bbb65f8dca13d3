"""The server's identity, made for one job, and the TLS that lets one client in.

The private key is never a file on a disk: OpenSSL reads it from a memory file without a name.
"""

import os
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = timedelta(days=2)
# The client's clock may be behind ours.
VALID_BEFORE = timedelta(hours=1)

_PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Identity:
    """A self-signed certificate and its key, both as PEM."""

    certificate: str
    key: bytes = field(repr=False)


def new_identity(host: str | None, now: datetime) -> Identity:
    """A fresh identity for ``localhost`` and for ``host``, an address or a name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_BEFORE)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(certificate.public_bytes(_PEM).decode(), secret)


def pinned_der(certificate: str) -> bytes:
    """The one client certificate that is let in, as DER.

    Raises:
        ValueError: the text is not exactly one certificate.
    """
    found = x509.load_pem_x509_certificates(certificate.encode())
    if len(found) != 1:
        raise ValueError("expected exactly one certificate")
    return found[0].public_bytes(serialization.Encoding.DER)


def server_context(identity: Identity, client: bytes) -> ssl.SSLContext:
    """TLS 1.3 for whoever has the key of the client's certificate (DER); nobody else gets in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=client)
    context.num_tickets = 0
    _load(context, identity)
    return context


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, identity.key + identity.certificate.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _names(host: str | None) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if host and host != "localhost":
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names
