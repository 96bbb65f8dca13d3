"""A pinned address changes nothing about whose certificate has to be shown."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from compute_horde_common.clock import SystemClock
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import DownloadFailed
from compute_horde_common.transfer.fetch import Fetcher
from compute_horde_common.transfer.guard import AddressGuard
from compute_horde_common.transfer.tree import Folder
from tests.transfer.conftest import Web


def certificate_for(host: str) -> bytes:
    """A key and a certificate of its own, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
async def tls_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    pem = tmp_path / "server.pem"
    pem.write_bytes(certificate_for("example.test"))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    web = Web()
    web.will_say(200, b"hello")
    async with await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=context) as server:
        web.port = server.sockets[0].getsockname()[1]
        yield web


async def fetch(host: str, web: Web, folder: Folder) -> int:
    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if port == web.port and host else []

    async with Fetcher(AddressGuard(allow_private=True, resolver=here)) as fetcher:
        url = f"https://{host}:{web.port}/"
        return (await fetcher.fetch(url, folder, "f", budget=Budget(9), within=20)).size


async def test_the_certificate_of_the_name_is_accepted(tls_web: Web, folder: Folder) -> None:
    assert await fetch("example.test", tls_web, folder) == 5


async def test_the_certificate_of_another_name_is_refused(tls_web: Web, folder: Folder) -> None:
    with pytest.raises(DownloadFailed, match="Hostname mismatch"):
        await fetch("other.test", tls_web, folder)
    assert tls_web.requests == []
