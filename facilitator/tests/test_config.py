from pathlib import Path

import pytest
from pydantic import ValidationError

from compute_horde_common.contrib.django.config import env_example, faults
from facilitator.config import FacilitatorConfig

EXAMPLE = Path(__file__).parent.parent / ".env.example"


def test_the_example_environment_is_that_of_the_config() -> None:
    assert EXAMPLE.read_text() == env_example(FacilitatorConfig)


def test_all_missing_variables_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "JWT_SECRET", "DATABASE_URL"):
        monkeypatch.delenv(name)

    with pytest.raises(ValidationError) as caught:
        FacilitatorConfig()

    told = faults(caught.value)
    assert [name for name in ("SECRET_KEY", "JWT_SECRET", "DATABASE_URL") if name in told] == [
        "SECRET_KEY",
        "JWT_SECRET",
        "DATABASE_URL",
    ]
