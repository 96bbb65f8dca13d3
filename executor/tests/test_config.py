from pathlib import Path

import pytest

from executor.config import ConfigurationError, ExecutorConfig

NEEDED = {"MINER_ADDRESS": "ws://10.0.0.1:8000/", "EXECUTOR_TOKEN": "job-token"}


def test_two_variables_are_enough() -> None:
    config = ExecutorConfig.from_environment(NEEDED)

    assert config.url == "ws://10.0.0.1:8000/v0.1/executor_interface/job-token"
    assert config.owner == "job-token"


def test_all_faults_are_told_at_once() -> None:
    wrong = {"MINER_ADDRESS": "http://m", "EXECUTOR_CLASS": "none.such", "DEBUG_NO_GPU_MODE": "2"}

    with pytest.raises(ConfigurationError) as caught:
        ExecutorConfig.from_environment(wrong)

    named = {line.split()[0] for line in str(caught.value).splitlines()}
    assert named == {"EXECUTOR_TOKEN", "MINER_ADDRESS", "EXECUTOR_CLASS", "DEBUG_NO_GPU_MODE"}


def test_the_job_folder_is_named_by_the_token(tmp_path: Path) -> None:
    config = ExecutorConfig.from_environment({**NEEDED, "EXECUTOR_WORK_DIR": str(tmp_path)})

    assert config.job_folder == tmp_path / "compute-horde-job-token"


def test_a_token_is_no_path() -> None:
    with pytest.raises(ConfigurationError):
        ExecutorConfig.from_environment({**NEEDED, "EXECUTOR_TOKEN": "../../etc"})
