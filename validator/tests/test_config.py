from pathlib import Path

from compute_horde_common.contrib.django.config import env_example
from validator.config import ValidatorConfig


def test_the_example_environment_lists_what_the_configuration_reads() -> None:
    example = Path(__file__).parent.parent / ".env.example"

    assert example.read_text() == env_example(ValidatorConfig)
