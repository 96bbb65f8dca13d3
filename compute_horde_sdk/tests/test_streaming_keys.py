"""Keys of streaming jobs are saved, and used by another object."""

import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk._internal.certificates import new_streaming_key
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeStreamingKey,
    ComputeHordeValidationError,
)
from tests.conftest import SpecMaker

KEY = new_streaming_key(HandWoundClock().now())
OTHER = new_streaming_key(HandWoundClock().now())
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)


def _of_another_kind() -> bytes:
    """A key and its certificate that belong together, of elliptic curves."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = HandWoundClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate


def test_a_saved_key_is_the_same_and_its_owners_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        KEY.save(tmp_path / "job.pem")
    finally:
        os.umask(umask)

    assert ComputeHordeStreamingKey.load(tmp_path / "job.pem") == KEY
    assert stat.S_IMODE((tmp_path / "job.pem").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["job.pem"]


def test_a_key_that_replaces_a_file_that_all_can_read_is_its_owners(tmp_path: Path) -> None:
    (tmp_path / "job.pem").write_text("old")
    (tmp_path / "job.pem").chmod(0o644)

    KEY.save(str(tmp_path / "job.pem"))

    assert stat.S_IMODE((tmp_path / "job.pem").stat().st_mode) == 0o600
    assert ComputeHordeStreamingKey.load(tmp_path / "job.pem") == KEY


@pytest.mark.parametrize("pem", [KEY.to_pem(), KEY.to_pem().decode()], ids=["bytes", "text"])
def test_pem_becomes_the_same_key(pem: bytes | str) -> None:
    assert ComputeHordeStreamingKey.from_pem(pem) == KEY


def test_the_certificate_may_come_before_the_key() -> None:
    key = KEY.to_pem().removesuffix(KEY.pem.encode())

    assert ComputeHordeStreamingKey.from_pem(KEY.pem.encode() + key) == KEY


BAD: dict[str, object] = {
    "nothing": b"",
    "a text": "a text",
    "no text": "\ud800",
    "a certificate alone": KEY.pem,
    "keys of two jobs": KEY.to_pem().removesuffix(KEY.pem.encode()) + OTHER.pem.encode(),
    "a key of another kind": ED25519 + KEY.pem.encode(),
    "a pair of another kind": _of_another_kind(),
    "an encrypted key": KEY.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    + KEY.pem.encode(),
    "a public key": KEY.private_key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    + KEY.pem.encode(),
    "a key that is cut off": KEY.to_pem()[:400] + KEY.pem.encode(),
    "a certificate that is cut off": KEY.to_pem()[:-100],
    "bytes of any kind": bytes(range(256)) * 9,
    "a number": 7,
    "None": None,
}


@pytest.mark.parametrize("pem", BAD.values(), ids=BAD.keys())
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        ComputeHordeStreamingKey.from_pem(pem)

    assert refused.value.field == "streaming_key"


def test_a_file_with_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.pem").write_text("something else")

    with pytest.raises(ComputeHordeValidationError, match=r"job\.pem"):
        ComputeHordeStreamingKey.load(tmp_path / "job.pem")


CALLS: dict[str, Callable[[Path], object]] = {
    "load a folder": ComputeHordeStreamingKey.load,
    "load nothing": lambda folder: ComputeHordeStreamingKey.load(folder / "none"),
    "load no path": lambda _: ComputeHordeStreamingKey.load(7),  # type: ignore[arg-type]  # on purpose
    "load a NUL": lambda _: ComputeHordeStreamingKey.load("\0"),
    "save to a folder": KEY.save,
    "save nowhere": lambda folder: KEY.save(folder / "none" / "job.pem"),
    "save a NUL": lambda folder: KEY.save(f"{folder}/\0"),
    "save to no path": lambda _: KEY.save(None),  # type: ignore[arg-type]  # on purpose
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_file_that_cannot_be_used_is_an_error_of_ours(
    tmp_path: Path, call: Callable[[Path], object]
) -> None:
    with pytest.raises(ComputeHordeError):
        call(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["key", "path", "text path", "bytes", "text"])
async def test_a_job_that_is_found_again_gets_its_key_back(
    client: ComputeHordeClient, spec: SpecMaker, tmp_path: Path, form: str
) -> None:
    job = await client.create_job(spec(streaming=True))
    key = job.streaming_key
    assert key is not None
    key.save(tmp_path / "job.pem")
    given = {
        "key": key,
        "path": tmp_path / "job.pem",
        "text path": str(tmp_path / "job.pem"),
        "bytes": key.to_pem(),
        "text": key.to_pem().decode(),
    }[form]

    found = await client.get_job(job.uuid, streaming_key=given)

    assert found.streaming_key == key
    assert (await client.get_job(job.uuid)).streaming_key is None


async def test_what_is_no_key_is_not_attached(client: ComputeHordeClient, spec: SpecMaker) -> None:
    job = await client.create_job(spec())

    with pytest.raises(ComputeHordeValidationError, match="streaming_key"):
        job.attach_streaming_key(7)  # type: ignore[arg-type]  # on purpose

    assert job.streaming_key is None
