import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from compute_horde_common.jobs import executor_classes
from compute_horde_common.jobs.executor_classes import (
    ExecutorClass,
    ExecutorClassSpec,
    UnknownExecutorClass,
    executor_class,
)
from compute_horde_common.jobs.paths import (
    absolute_directory,
    canonical_relative_path,
    safe_relative_path,
    web_url,
)
from compute_horde_common.jobs.spec import JobSpec, StreamingDetails
from compute_horde_common.jobs.timing import Limits

SPEC = {
    "executor_class": "always_on.test",
    "docker_image": "team/image:1",
    "download_time_limit": 5,
    "execution_time_limit": 30,
    "upload_time_limit": 5,
    "streaming_start_time_limit": 7,
}


def _fault(**changes: object) -> tuple[int | str, ...]:
    with pytest.raises(ValidationError) as raised:
        JobSpec.model_validate({**SPEC, **changes})
    return raised.value.errors()[0]["loc"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("executor_class", "always_on.a6000x"),
        ("docker_image", ""),
        ("docker_image", "no spaces here"),
        ("docker_image", "team/Image"),
        ("docker_image", "x" * 300),
        ("args", ["a\0b"]),
        ("args", "echo"),
        ("env", {"A=B": "c"}),
        ("env", {"": "c"}),
        ("artifacts_dir", "relative"),
        ("artifacts_dir", "/a/../b"),
        ("artifacts_dir", "/"),
        ("artifacts_dir", "/a:ro"),
        ("download_time_limit", -1),
        ("execution_time_limit", 10**9),
        ("upload_time_limit", None),
        ("volumes", [{"volume_type": "floppy"}]),
        ("volumes", [{"volume_type": "inline", "contents": "", "relative_path": "../up"}]),
        ("volumes", [{"volume_type": "single_file", "url": "file:///etc", "relative_path": "a"}]),
        (
            "uploads",
            [{"output_upload_type": "single_file_put", "url": "http://a", "relative_path": "a//b"}],
        ),
    ],
)
def test_a_bad_member_is_refused_by_name(field: str, value: object) -> None:
    assert _fault(**{field: value})[0] == field


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "team/image:latest",
        "registry.example.com:5000/a/b-c_d:v1.2",
        "a@sha256:" + "0" * 64,
    ],
)
def test_usual_image_names_are_taken(image: str) -> None:
    assert JobSpec.model_validate({**SPEC, "docker_image": image}).docker_image == image


def test_no_artifacts_directory_may_be_written_as_null() -> None:
    assert JobSpec.model_validate({**SPEC, "artifacts_dir": None}).artifacts_dir == ""


def test_only_a_streaming_job_has_time_to_start_streaming() -> None:
    batch = JobSpec.model_validate(SPEC)
    streaming = batch.model_copy(update={"streaming_details": StreamingDetails(public_key="pem")})

    assert batch.limits == Limits(download=5, execution=30, upload=5, streaming_start=0)
    assert streaming.limits == Limits(download=5, execution=30, upload=5, streaming_start=7)


def test_every_class_of_the_live_network_is_in_the_table() -> None:
    table = {name.value: executor_class(name) for name in ExecutorClass}

    assert {
        name: (spec.spin_up_seconds, spec.has_gpu, spec.vram_gb) for name, spec in table.items()
    } == {
        "spin_up-4min.gpu-24gb": (240, True, 24),
        "always_on.gpu-24gb": (3, True, 24),
        "always_on.llm.a6000": (30, True, 48),
        "always_on.test": (3, False, None),
        "always_on.cpu.8c.16gb": (30, False, None),
    }


def test_a_class_can_be_added_by_data() -> None:
    new = ExecutorClassSpec(
        name="always_on.gpu_a100_80gb", spin_up_seconds=10, gpu="NVIDIA A100", vram_gb=80
    )
    with pytest.raises(UnknownExecutorClass):
        executor_class(new.name)

    executor_classes.define([new])
    executor_classes.define([new])

    assert JobSpec.model_validate({**SPEC, "executor_class": new.name}).executor_class == new.name
    with pytest.raises(ValueError, match="differently"):
        executor_classes.define([new.model_copy(update={"vram_gb": 40})])


@given(st.text())
def test_a_canonical_path_is_a_safe_one_and_stays_below_its_folder(path: str) -> None:
    try:
        canonical_relative_path(path)
    except ValueError:
        return

    assert safe_relative_path(path) == path
    assert ".." not in path.split("/")


@given(st.text())
def test_no_absolute_directory_leaves_its_place(path: str) -> None:
    try:
        absolute_directory(path)
    except ValueError:
        return

    assert path.startswith("/")
    assert not {".", ".."} & set(path.split("/"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "http://",
        "//host/x",
        "http://a b/",
        "http://a:port/",
        "http://[::1",
        "",
        "x" * 9000,
    ],
)
def test_what_is_no_web_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        web_url(url)
