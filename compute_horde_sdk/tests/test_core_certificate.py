"""``compute_horde_core.certificate``: certificates as files and as text."""

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from compute_horde_core import certificate as core


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("203.0.113.7", x509.IPAddress(ipaddress.IPv4Address("203.0.113.7"))),
        ("executor.example", x509.DNSName("executor.example")),
    ],
)
def test_a_certificate_is_for_localhost_and_the_name(name: str, expected: x509.GeneralName) -> None:
    certificate, key = core.generate_certificate(name)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.DNSName("localhost"), expected]
    assert certificate.public_key() == key.public_key()
    assert x509.load_pem_x509_certificate(core.serialize_certificate(certificate)) == certificate
    assert load_pem_private_key(core.serialize_private_key(key), None).public_key() == (
        certificate.public_key()
    )


def test_a_certificate_and_its_key_are_written_to_a_folder(tmp_path: Path) -> None:
    folder, public_key, paths = core.generate_certificate_at(tmp_path)
    core.save_public_key("their certificate", folder)

    assert folder == tmp_path
    assert paths == (f"{tmp_path}/ssl/certificate.pem", f"{tmp_path}/ssl/private_key.pem")
    assert Path(paths[0]).read_text() == public_key
    assert Path(paths[1]).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ssl" / "client.crt").read_text() == "their certificate"
