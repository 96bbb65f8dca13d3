"""`ServiceConfig`."""

import pytest
from django.conf import settings

from compute_horde_common.contrib.django import defaults
from compute_horde_common.contrib.django.config import ServiceConfig, env_example, load

COMPLETE = {
    "SECRET_KEY": "0123456789abcdef",
    "DATABASE_URL": "postgresql://us%40er:p%2Fss@db:5433/horde?sslmode=require",
    "REDIS_URL": "redis://:x@redis:6379/2",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_all_faults_are_told_at_once_without_the_values(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("REDIS_URL")
    environment.setenv("DATABASE_URL", "hunter2")
    environment.setenv("LOG_LEVEL", "loud")

    with pytest.raises(SystemExit) as caught:
        load(ServiceConfig)

    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert "hunter2" not in told
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == [
        "DATABASE_URL",
        "REDIS_URL",
        "LOG_LEVEL",
    ]


def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALLOWED_HOSTS", "a.example, b.example,")

    assert load(ServiceConfig).allowed_hosts == ["a.example", "b.example"]


def test_an_executor_class_defined_otherwise_is_a_fault(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv(
        "EXTRA_EXECUTOR_CLASSES", '[{"name": "always_on.test", "spin_up_seconds": 9}]'
    )

    with pytest.raises(SystemExit):
        load(ServiceConfig)

    assert "EXTRA_EXECUTOR_CLASSES: Value error, executor class always_on.test" in (
        capsys.readouterr().err
    )


def test_the_database_gets_its_password_decoded(environment: pytest.MonkeyPatch) -> None:
    database = defaults.postgres(load(ServiceConfig))

    assert {name: database[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")} == {
        "USER": "us@er",
        "PASSWORD": "p/ss",
        "HOST": "db",
        "PORT": "5433",
        "NAME": "horde",
    }
    assert database["OPTIONS"]["sslmode"] == "require"


def test_the_example_has_every_variable_and_shows_defaults_as_comments() -> None:
    lines = env_example(ServiceConfig).splitlines()

    assert "SECRET_KEY=" in lines
    assert "# DEBUG=false" in lines
    assert "# ALLOWED_HOSTS=*" in lines


def test_a_secret_does_not_show() -> None:
    assert settings.SECRET_KEY not in repr(load(ServiceConfig))
