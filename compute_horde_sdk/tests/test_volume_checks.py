"""Volumes that cannot work are refused, those that can are made to."""

import base64
import contextlib
import io
import logging
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as some

from compute_horde_sdk._internal.spec import create_request
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeJobSpec,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)

FILE = HTTPInputVolume(url="https://f.test/a")
HUB = HuggingfaceInputVolume(repo_id="gpt2")
PUT = HTTPOutputVolume(http_method="PUT", url="https://f.test/o")
ZIP = InlineInputVolume.from_file_contents("a?>~", bytes(range(256)) * 9).contents
RAW = base64.b64decode(ZIP)
NESTED: list[object] = []
NESTED.append(NESTED)


def sent(**fields: object) -> None:
    """What would be sent for a spec."""
    members: dict[str, object] = {
        "executor_class": "always_on.test",
        "job_namespace": "SN12.0",
        "docker_image": "alpine",
    }
    spec = ComputeHordeJobSpec(**(members | fields))  # type: ignore[arg-type]  # also wrong ones
    create_request(spec, validator_hotkey="v", on_trusted_miner=False, client_certificate=None)


def hub(**fields: object) -> dict[str, object]:
    """Inputs with a volume that has these fields."""
    members: dict[str, object] = {"repo_id": "a/b"}
    return {"/volume/m": HuggingfaceInputVolume(**(members | fields))}


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "one place twice": ({"/volume/a": HUB, "/volume/a/": HUB}, "the same place"),
    "dots": ({"/volume/a": FILE, "/volume/./a": HUB}, "the same place"),
    "in a file": ({"/volume/a": FILE, "/volume/a/b": FILE}, "'/volume/a', which is a file"),
    "file above": ({"/volume/a/b/c": HUB, "/volume/a": FILE}, "which is a file"),
    "in inline contents": (
        {"/volume/a": InlineInputVolume(contents="eA=="), "/volume/a/b": FILE},
        "which is a file",
    ),
    "a long path": ({f"/volume/{'a/' * 1100}b": FILE}, "longer than 2048 bytes"),
    "a long name": ({f"/volume/{'a' * 256}": FILE}, "longer than 255 bytes"),
    "a NUL": ({"/volume/a\0": FILE}, "NUL"),
    "a backslash": ({"/volume/a\\b": InlineInputVolume(contents="eA==")}, "backslash"),
    "a huge number": ({10**5000: FILE}, "must start with /volume/"),
    "another scheme": ({"/volume/a": HTTPInputVolume(url="ftp://f.test/a")}, "http"),
    "no host": ({"/volume/a": HTTPInputVolume(url="https:///a")}, "host"),
    "a line break": ({"/volume/a": HTTPInputVolume(url="https://f.test/\n")}, "control"),
    "a cut zip": (
        {"/volume/a": InlineInputVolume(contents=base64.b64encode(RAW[:-9]).decode())},
        "broken or cut off",
    ),
    "repository as URL": (hub(repo_id="https://huggingface.co/a/b"), "repo_id"),
    "three parts": (hub(repo_id="a/b/c"), "repo_id"),
    "above": (hub(repo_id="a/.."), "repo_id"),
    "kind": (hub(repo_type="models"), "model, dataset, space"),
    "no revision": (hub(revision=""), "revision"),
    "changed since": ({"/volume/m": InlineInputVolume.model_construct(contents=7)}, "contents"),
}


@pytest.mark.parametrize(("inputs", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_inputs_that_cannot_work_are_refused(inputs: dict[str, object], said: str) -> None:
    with pytest.raises(ComputeHordeValidationError, match=said) as refused:
        sent(input_volumes=inputs)

    assert (
        refused.value.field.startswith("input_volumes")
        or "changed" in said
        or said in str(refused.value)
    )


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"a": "b\r\nc: d"}, {"": ""}, {"a": "\0"}])
def test_headers_that_no_request_can_have_are_refused(headers: dict[str, str]) -> None:
    volume = HTTPOutputVolume(http_method="PUT", url="https://f.test/", signed_headers=headers)

    with pytest.raises(ComputeHordeValidationError, match="signed_headers"):
        sent(output_volumes={"/output/a": volume})


def test_an_output_within_another_is_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match="which is a file"):
        sent(output_volumes={"/output/a": PUT, "/output/a/b": PUT})


@pytest.mark.parametrize("other", ["/output/a/", "/output//a", "/output/./a"])
def test_one_file_is_not_sent_to_two_places(other: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        sent(output_volumes={"/output/a": PUT, other: PUT})

    assert refused.value.field.startswith("output_volumes")


def test_volumes_beside_and_below_folders_are_taken() -> None:
    sent(
        input_volumes={"/volume/": HUB, "/volume/a": FILE, "/volume/ab": FILE, "/volume/d/e": HUB},
        output_volumes={"/output/a": PUT, "/output/ab": PUT},
    )


@pytest.mark.parametrize(
    "contents",
    [ZIP, base64.encodebytes(RAW).decode(), base64.urlsafe_b64encode(RAW).decode(), f" {ZIP}\r\n"],
    ids=["plain", "lines", "for URLs", "spaces"],
)
def test_base64_of_any_make_is_sent_as_plain_base64(contents: str) -> None:
    volume = InlineInputVolume(contents=contents).to_compute_horde_volume("/volume/a")

    assert (volume.contents, volume.relative_path) == (ZIP, "a")


def test_no_contents_are_an_empty_file() -> None:
    volume = InlineInputVolume(contents="").to_compute_horde_volume("/volume/a")

    with zipfile.ZipFile(io.BytesIO(base64.b64decode(volume.contents))) as archive:
        assert (archive.namelist(), archive.read("a")) == (["a"], b"")


def test_a_zip_behind_something_else_is_a_zip() -> None:
    contents = base64.b64encode(b"#!/bin/sh\n" + RAW).decode()

    assert InlineInputVolume(contents=contents).to_compute_horde_volume("/volume/a").contents == (
        contents
    )


def test_a_field_that_is_not_sent_is_told_without_its_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        HuggingfaceInputVolume(repo_id="a/b", token="secret")

    assert "HuggingfaceInputVolume ['token']" in caplog.text
    assert "secret" not in caplog.text


def test_a_file_of_no_bytes_is_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match="contents: must be bytes"):
        InlineInputVolume.from_file_contents("a", 7)  # type: ignore[arg-type]  # on purpose


HOSTILE = some.one_of(
    some.none(),
    some.booleans(),
    some.sampled_from(
        [10**5000, -(10**5000), "\ud800", "/volume/\ud800", NESTED, object(), b"\xff"]
    ),
    some.floats(),
    some.text(),
    some.binary(),
    some.lists(some.text() | some.none(), max_size=3),
)
KEYS = some.one_of(
    some.sampled_from(["/volume/", "/volume/a", "/output/a", 10**5000, None, "/volume/\ud800"]),
    some.text().map("/volume/".__add__),
    some.text().map("/output/".__add__),
)
VOLUMES = some.one_of(
    some.builds(InlineInputVolume.model_construct, contents=HOSTILE),
    some.builds(HTTPInputVolume.model_construct, url=HOSTILE, sha256=HOSTILE),
    some.builds(HuggingfaceInputVolume.model_construct, repo_id=HOSTILE, allow_patterns=HOSTILE),
    some.builds(
        HTTPOutputVolume.model_construct,
        http_method=some.sampled_from(["PUT", "POST"]) | HOSTILE,
        url=some.just("https://f.test/") | HOSTILE,
        form_fields=some.dictionaries(some.text(), some.text(), max_size=2) | HOSTILE,
        signed_headers=some.dictionaries(some.text(), some.text(), max_size=2) | HOSTILE,
    ),
    HOSTILE,
)
MEMBERS = {
    "input_volumes": some.dictionaries(KEYS, VOLUMES, max_size=3) | HOSTILE,
    "output_volumes": some.dictionaries(KEYS, VOLUMES, max_size=3) | HOSTILE,
    "args": HOSTILE,
    "env": some.dictionaries(some.sampled_from(["A", 10**5000]), HOSTILE, max_size=2) | HOSTILE,
    "docker_image": HOSTILE,
    "job_namespace": HOSTILE,
    "executor_class": HOSTILE,
    "artifacts_dir": HOSTILE,
    "execution_time_limit_sec": HOSTILE,
}


@given(some.fixed_dictionaries({}, optional=MEMBERS))
def test_no_error_but_ours_comes_out_of_any_spec(fields: dict[str, object]) -> None:
    with contextlib.suppress(ComputeHordeError):
        sent(**fields)
