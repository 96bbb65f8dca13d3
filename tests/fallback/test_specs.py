"""What becomes of a job of the network on a rented machine."""

import json
from pathlib import Path

import pytest

from compute_horde_sdk._internal.fallback.program import checked, write_program
from compute_horde_sdk._internal.fallback.registry import ImageConfig
from compute_horde_sdk.v1 import (
    ComputeHordeError,
    ComputeHordeJobSpec,
    ComputeHordeJobStatus,
    ComputeHordeValidationError,
    ExecutorClass,
)
from compute_horde_sdk.v1.fallback import (
    FallbackError,
    FallbackJobSpec,
    FallbackJobStatus,
    FallbackJobTimeoutError,
    FallbackNotFoundError,
)

IMAGE = ImageConfig(["/entry", "--always"], ["serve"], {"PATH": "/bin", "A": "image"}, "/app")


def network_spec(**changes: object) -> ComputeHordeJobSpec:
    members: dict[str, object] = {
        "executor_class": ExecutorClass.always_on__llm__a6000,
        "job_namespace": "SN12.0",
        "docker_image": "user/image:tag",
        "args": ["sh", "-c", "echo 'a b'; ls"],
        "env": {"A": "1"},
    }
    return ComputeHordeJobSpec(**(members | changes))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("executor_class", "accelerators", "cpus"),
    [
        (ExecutorClass.always_on__llm__a6000, [{"RTXA6000": 1}], None),
        ("always_on.llm.a6000", [{"RTXA6000": 1}], None),
        (ExecutorClass.always_on__test, [], "2+"),
        (ExecutorClass.always_on__cpu__8c__16gb, [], "8+"),
    ],
)
def test_each_class_gets_its_hardware(
    executor_class: object, accelerators: list[dict[str, int]], cpus: str | None
) -> None:
    spec = FallbackJobSpec.from_job_spec(network_spec(executor_class=executor_class))

    assert (spec.wanted_accelerators(), spec.cpus) == (accelerators, cpus)


@pytest.mark.parametrize(
    "executor_class", [ExecutorClass.spin_up_4min__gpu_24gb, ExecutorClass.always_on__gpu_24gb]
)
def test_classes_of_24_gb_take_any_gpu_that_has_them(executor_class: ExecutorClass) -> None:
    spec = FallbackJobSpec.from_job_spec(network_spec(executor_class=executor_class))

    assert {"RTX4090": 1} in spec.wanted_accelerators()
    assert {"L4": 1} in spec.wanted_accelerators()


def test_every_class_of_the_sdk_has_hardware() -> None:
    for executor_class in ExecutorClass:
        FallbackJobSpec.from_job_spec(network_spec(executor_class=executor_class))


def test_what_is_given_beside_wins() -> None:
    spec = FallbackJobSpec.from_job_spec(
        network_spec(), accelerators="A100:2", run="python main.py", region="US", work_dir="/src"
    )

    assert spec.wanted_accelerators() == [{"A100": 2}]
    assert (spec.run, spec.region, spec.work_dir) == ("python main.py", "US", "/src")
    assert (spec.image_id, spec.envs) == ("docker:user/image:tag", {"A": "1"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"gpu": "x"}, "gpu is no field"), ({"executor_class": "abacus"}, "executor_class is")],
)
def test_what_is_unknown_is_named(changes: dict[str, object], told: str) -> None:
    members = {key: value for key, value in changes.items() if key == "executor_class"}
    beside = {key: value for key, value in changes.items() if key != "executor_class"}

    with pytest.raises(FallbackError, match=told):
        FallbackJobSpec.from_job_spec(network_spec(**members), **beside)


@pytest.mark.parametrize("accelerators", ["", "A100:x", {"A": 1, "B": 1}, [3]])
def test_accelerators_of_another_form_are_refused(accelerators: object) -> None:
    spec = FallbackJobSpec(run="true", accelerators=accelerators)  # type: ignore[arg-type]  # wrong

    with pytest.raises(ComputeHordeValidationError, match="accelerators"):
        spec.wanted_accelerators()


def test_the_machine_is_told_the_command_as_docker_would_put_it_together(tmp_path: Path) -> None:
    spec = FallbackJobSpec.from_job_spec(network_spec())

    command = write_program(tmp_path / "program", spec, checked(spec), IMAGE)

    told = json.loads((tmp_path / "program" / "job.json").read_text())
    assert told["command"] == ["/entry", "--always", "sh", "-c", "echo 'a b'; ls"]
    assert told["env"] == {"PATH": "/bin", "A": "1"}
    assert told["work_dir"] == "/app"
    assert told["limits"] == {
        "download": 60,
        "execution": 300,
        "upload": 60,
        "streaming_start": 5,
    }
    assert "timeout -k 30 545" in command
    assert sorted(path.name for path in (tmp_path / "program").iterdir()) == [
        ".skyignore",
        "job.json",
        "runner.py",
        "transfers.py",
    ]


def test_without_arguments_the_image_runs_its_own_command(tmp_path: Path) -> None:
    spec = FallbackJobSpec.from_job_spec(network_spec(args=[]))

    write_program(tmp_path, spec, checked(spec), IMAGE)

    assert json.loads((tmp_path / "job.json").read_text())["command"] == [
        "/entry",
        "--always",
        "serve",
    ]


def test_an_image_that_runs_nothing_is_refused(tmp_path: Path) -> None:
    spec = FallbackJobSpec.from_job_spec(network_spec(args=[]))

    with pytest.raises(FallbackError, match="runs nothing by itself"):
        write_program(tmp_path, spec, checked(spec), ImageConfig([], [], {}, "/"))


def test_a_job_without_image_and_command_is_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match="image_id"):
        checked(FallbackJobSpec())


def test_errors_are_a_branch_of_the_tree() -> None:
    assert issubclass(FallbackError, ComputeHordeError)
    assert issubclass(FallbackNotFoundError, FallbackError)
    assert issubclass(FallbackJobTimeoutError, (FallbackError, TimeoutError))
    assert FallbackJobStatus is ComputeHordeJobStatus


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"artifacts_dir": "/tmp"}, "artifacts_dir"),  # noqa: S108
        ({"artifacts_dir": "/etc/"}, "artifacts_dir"),
        ({"artifacts_dir": "/output"}, "artifacts_dir"),
        ({"artifacts_dir": "//tmp"}, "artifacts_dir"),
        ({"artifacts_dir": "/root/.ssh"}, "artifacts_dir"),
        ({"work_dir": 3}, "work_dir"),
        ({"run": "a\0"}, "run"),
    ],
)
def test_what_would_harm_the_machine_is_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        checked(FallbackJobSpec(**({"run": "true"} | changes)))  # type: ignore[arg-type]  # by name

    assert refused.value.field == field
