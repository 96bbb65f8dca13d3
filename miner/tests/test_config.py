from pathlib import Path

import pytest
from pydantic import ValidationError

from compute_horde_common.contrib.django.config import env_example, faults
from miner.config import MinerConfig

EXAMPLE = Path(__file__).parent.parent / ".env.example"
NEEDED = {
    "SECRET_KEY": "x" * 32,
    "DATABASE_URL": "postgresql://u:p@localhost/db",
    "REDIS_URL": "redis://localhost/0",
}


def configured(monkeypatch: pytest.MonkeyPatch, **variables: str) -> MinerConfig:
    for name, value in {**NEEDED, **variables}.items():
        monkeypatch.setenv(name, value)
    return MinerConfig()


def test_the_example_names_every_variable() -> None:
    assert EXAMPLE.read_text() == env_example(MinerConfig)


def test_slots_are_counted_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(monkeypatch, EXECUTOR_SLOTS="always_on.test=2, always_on.gpu-24gb=1")

    assert config.slots == {"always_on.test": 2, "always_on.gpu-24gb": 1}


@pytest.mark.parametrize(
    "variables",
    [
        {"EXECUTOR_SLOTS": "always_on.unheard-of=1"},
        {"EXECUTOR_SLOTS": "always_on.test"},
        {"EXECUTOR_SLOTS": "always_on.test=-1"},
        {"EXECUTOR_SLOTS": "always_on.test=5000"},
        {"BITTENSOR_MINER_ADDRESS": "miner.example"},
        {"IS_LOCAL_MINER": "true"},
        {"EXECUTOR_ENVIRONMENT": "JOB_DISK_BYTES"},
        {"EXECUTOR_ENVIRONMENT": '{"JOB_DISK_BYTES": '},
        {"EXECUTOR_ENVIRONMENT": "EXECUTOR_TOKEN=mine"},
        {"EXECUTOR_GPUS": "0", "EXECUTOR_SLOTS": "always_on.gpu-24gb=2"},
        {"EXECUTOR_GPUS": "0,0"},
        {"STREAMING_ADDRESS": "miner.example"},
        {"DOCKER_HOST": "ssh://host"},
    ],
)
def test_a_faulty_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    with pytest.raises(ValidationError):
        configured(monkeypatch, **variables)


def test_an_operator_may_add_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(
        monkeypatch,
        EXTRA_EXECUTOR_CLASSES='[{"name": "always_on.of-tests", "spin_up_seconds": 1}]',
        EXECUTOR_SLOTS="always_on.of-tests=1",
    )

    assert config.slots == {"always_on.of-tests": 1}


@pytest.mark.parametrize(
    "text",
    [
        "JOB_DISK_BYTES=5\n\n  IMAGE_ALLOW = docker.io/a/*,b=c \nIMAGE_REQUIRE_DIGEST=true",
        '{"JOB_DISK_BYTES": 5, "IMAGE_ALLOW": "docker.io/a/*,b=c", "IMAGE_REQUIRE_DIGEST": true}',
    ],
)
def test_an_operator_sets_what_executors_are_told(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    config = configured(monkeypatch, EXECUTOR_ENVIRONMENT=text)

    assert config.executor_environment == {
        "JOB_DISK_BYTES": "5",
        "IMAGE_ALLOW": "docker.io/a/*,b=c",
        "IMAGE_REQUIRE_DIGEST": "true",
    }


def test_a_wrong_name_for_executors_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError) as refused:
        configured(monkeypatch, EXECUTOR_ENVIRONMENT="JOB_DISK_BITES=1\nHF_ACCESS_TOKEN=hf_secret")

    assert "JOB_DISK_BITES cannot be set. Known: ARTIFACTS_MAX_BYTES" in faults(refused.value)
    assert "hf_secret" not in faults(refused.value)


def test_gpus_are_for_slots_of_gpu_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(
        monkeypatch, EXECUTOR_SLOTS="always_on.test=4,always_on.gpu-24gb=2", EXECUTOR_GPUS="0, 1"
    )

    assert config.gpu_slots == {"always_on.gpu-24gb": 2}
    assert config.executor_gpus == ["0", "1"]
