"""What a `LocalClient` refuses, and what executors are told, without any Docker."""

import json
import logging
from pathlib import Path

import pytest

from compute_horde_sdk._internal.local.executor import Machine
from compute_horde_sdk.v1 import ComputeHordeNotFoundError, ComputeHordeValidationError
from compute_horde_sdk.v1.local import LocalClient

GPU_CLASS = "always_on.gpu-24gb"
UNKNOWN = "6f9a1c02-0000-4000-8000-000000000000"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _told(machine: Machine, class_name: str = "always_on.test") -> dict[str, str]:
    return machine.environment("ws://127.0.0.1:1", "token", class_name)


def _machine(*, gpu: bool | None = None, **settings: str) -> Machine:
    return Machine(Path("/work"), gpu, "unix:///docker.sock", settings)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"docker_host": "ssh://host"}, "docker_host"),
        ({"work_dir": "/no/such/folder"}, "work_dir"),
        ({"max_parallel": 0}, "max_parallel"),
        ({"max_parallel": "2"}, "max_parallel"),
        (
            {"executor_environment": {"EXECUTOR_TOKEN": "x"}},
            "executor_environment['EXECUTOR_TOKEN']",
        ),
        ({"executor_environment": {"LOG_LEVEL": 1}}, "executor_environment['LOG_LEVEL']"),
        ({"executor_environment": ["LOG_LEVEL"]}, "executor_environment"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        LocalClient(**arguments)  # type: ignore[arg-type]  # the point of the test

    assert refused.value.field == field


async def test_a_client_without_jobs_has_none() -> None:
    async with LocalClient() as client:
        await client.authenticate()

        assert await client.get_jobs() == []
        assert [job async for job in client.iter_jobs(status="completed")] == []
        with pytest.raises(ComputeHordeNotFoundError):
            await client.get_jobs(page=2)
        with pytest.raises(ComputeHordeNotFoundError):
            await client.get_job(UNKNOWN)
        with pytest.raises(ComputeHordeNotFoundError):
            await client.cancel_job(UNKNOWN)


def test_executors_get_nothing_else_of_the_users_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub")

    told = _told(_machine())

    assert "secret" not in told.values()
    assert told["HF_ENDPOINT"] == "http://hub"


def test_executors_are_told_what_is_different_here() -> None:
    told = _told(_machine(JOB_RUNTIME="runsc", LOG_FORMAT="json"))

    expected = {
        "ALLOW_PRIVATE_ADDRESSES": "true",
        "DOCKER_HOST": "unix:///docker.sock",
        "EXECUTOR_CLASS": "always_on.test",
        "EXECUTOR_OWNER": "local",
        "EXECUTOR_TOKEN": "token",
        "EXECUTOR_WORK_DIR": "/work",
        "JOB_RUNTIME": "runsc",
        "LOG_FORMAT": "json",
        "MINER_ADDRESS": "ws://127.0.0.1:1",
        "STARTUP_TIME_LIMIT": "3600",
    }
    assert {name: told[name] for name in expected} == expected
    assert json.loads(told["EXTRA_EXECUTOR_CLASSES"])[0]["name"] == "always_on.test"


def test_without_a_gpu_here_a_job_that_wants_one_is_warned_of(
    programs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told = _told(_machine(), GPU_CLASS)

    assert told["DEBUG_NO_GPU_MODE"] == "true"
    assert caplog.messages == [f"no GPU found, so a job of class {GPU_CLASS} runs without one"]


def test_a_gpu_that_is_here_is_used(programs: Path, caplog: pytest.LogCaptureFixture) -> None:
    (programs / "nvidia-smi").touch(mode=0o755)

    told = _told(_machine(), GPU_CLASS)

    assert told["DEBUG_NO_GPU_MODE"] == "false"
    assert caplog.messages == []


@pytest.mark.parametrize(("gpu", "without"), [(True, "false"), (False, "true")])
def test_whoever_decides_about_gpus_is_not_warned(
    programs: Path, caplog: pytest.LogCaptureFixture, *, gpu: bool, without: str
) -> None:
    told = _told(_machine(gpu=gpu), GPU_CLASS)

    assert told["DEBUG_NO_GPU_MODE"] == without
    assert caplog.messages == []


def test_where_gpus_cannot_be_used_the_advice_is_to_do_without(programs: Path) -> None:
    (programs / "nvidia-smi").touch(mode=0o755)

    told = _machine().unfit(["The toolkit is old."], GPU_CLASS)

    assert told == (
        "this machine cannot run jobs. The toolkit is old."
        " To run it without a GPU: LocalClient(gpu=False)."
    )
