"""What volumes become on the wire."""

import base64
import io
import zipfile

import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)


def _unpacked(contents: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(contents))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("compress", [False, True])
def test_an_inline_file_is_zipped(compress: bool) -> None:
    volume = InlineInputVolume.from_file_contents("a/b.txt", b"hello" * 99, compress=compress)

    assert _unpacked(volume.contents) == {"a/b.txt": b"hello" * 99}
    assert (len(volume.contents) < 400) == compress


def test_the_same_inline_file_is_the_same_volume() -> None:
    first, second = (InlineInputVolume.from_file_contents("a", b"x") for _ in range(2))

    assert first == second


def test_an_inline_zip_is_sent_as_it_is() -> None:
    volume = InlineInputVolume.from_file_contents("a", b"x")

    sent = volume.to_compute_horde_volume("/volume/data/")

    assert (sent.contents, sent.relative_path) == (volume.contents, "data/")


@pytest.mark.parametrize(
    ("path", "folder"), [("/volume/data/version.txt", "data"), ("/volume/version.txt", "")]
)
def test_inline_contents_that_are_no_zip_become_the_file_at_the_path(
    path: str, folder: str
) -> None:
    sent = InlineInputVolume(contents="dmVyc2lvbj0y").to_compute_horde_volume(path)

    assert sent.relative_path == folder
    assert _unpacked(sent.contents) == {"version.txt": b"version=2"}


def test_members_that_are_unknown_are_ignored() -> None:
    volume = HuggingfaceInputVolume(repo_id="a/b", token="x")

    assert volume == HuggingfaceInputVolume(repo_id="a/b")


@pytest.mark.parametrize("digest", [None, "a" * 64, "0123456789abcdefABCDEF" + "0" * 42])
def test_the_digest_of_a_file_travels_as_the_fragment_of_its_url(digest: str | None) -> None:
    volume = HTTPInputVolume(url="https://f.test/x?sig=1", sha256=digest)

    sent = volume.to_compute_horde_volume("/volume/x")

    fragment = f"#sha256={digest.lower()}" if digest else ""
    assert sent.url == f"https://f.test/x?sig=1{fragment}"


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(ComputeHordeValidationError, match=r"HTTPInputVolume\.sha256"):
        HTTPInputVolume(url="https://f.test/x", sha256=digest)


def test_a_url_with_a_fragment_takes_no_digest() -> None:
    volume = HTTPInputVolume(url="https://f.test/x#part", sha256="a" * 64)

    with pytest.raises(ComputeHordeValidationError, match="no fragment"):
        volume.to_compute_horde_volume("/volume/x")


def test_an_upload_is_made_from_the_path_below_output() -> None:
    volume = HTTPOutputVolume(http_method="PUT", url="https://f.test/", signed_headers={"a": "b"})

    assert volume.to_compute_horde_output_upload("/output/x/y").model_dump() == {
        "output_upload_type": "single_file_put",
        "url": "https://f.test/",
        "relative_path": "x/y",
        "signed_headers": {"a": "b"},
    }
