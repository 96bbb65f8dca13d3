"""What an operator sets on the miner reaches executors, which the miner must not import."""

from importlib import import_module

import pytest

from executor.config import ENVIRONMENT

NEEDED = {
    "SECRET_KEY": "only-for-tests-" + "0" * 40,
    "DATABASE_URL": "postgresql://nobody:nothing@localhost/nowhere",
    "REDIS_URL": "redis://localhost/0",
}
MINERS = frozenset(
    {
        "ALLOW_PRIVATE_ADDRESSES",
        "DEBUG_NO_GPU_MODE",
        "DOCKER_HOST",
        "EXECUTOR_CLASS",
        "EXECUTOR_CONTAINER",
        "EXECUTOR_OWNER",
        "EXECUTOR_TOKEN",
        "EXECUTOR_WORK_DIR",
        "EXTRA_EXECUTOR_CLASSES",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "MINER_ADDRESS",
        "NGINX_PORT",
        "STARTUP_TIME_LIMIT",
    }
)
"""Variables of executors that are the miner's own to say, or their surroundings'."""


@pytest.fixture
def operators(monkeypatch: pytest.MonkeyPatch) -> frozenset[str]:
    """Variables of executors that the miner lets its operator set."""
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    known: frozenset[str] = import_module("miner.config").EXECUTOR_SETTINGS
    return known


def test_every_variable_of_executors_is_the_operators_or_the_miners(
    operators: frozenset[str],
) -> None:
    assert set(ENVIRONMENT) == operators | MINERS
    assert not operators & MINERS
