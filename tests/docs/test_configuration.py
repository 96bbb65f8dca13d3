"""The configuration reference is rendered from what services and executors read."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from tests.docs.pages import ROOT


class Shop(BaseSettings):
    key: SecretStr = Field(min_length=16, description="Opens it.")
    doors: int = Field(default=2, ge=1, le=9, description="How many.")
    open: bool = Field(default=False, description="a | b.")
    colour: Literal["red", "blue"] = "red"
    guests: Annotated[list[str], NoDecode] = Field(default=["a", "b"], description="Who comes.")
    goods: list[int] = []
    place: Path | None = None


SHOP = """\
| variable | values | default | meaning |
| --- | --- | --- | --- |
| `KEY` | text, ≥ 16 characters; **secret** | **required** | Opens it. |
| `DOORS` | whole number, ≥ 1, ≤ 9 | `2` | How many. |
| `OPEN` | `true` or `false` | `false` | a \\| b. |
| `COLOUR` | `red`, `blue` | `red` |  |
| `GUESTS` | list, separated by commas | `a,b` | Who comes. |
| `GOODS` | JSON |  |  |
| `PLACE` | path |  |  |"""
EXECUTORS = (
    """\
| variable | values | default | meaning |
| --- | --- | --- | --- |
| `HF_ACCESS_TOKEN` | text; **secret** | none | a token |""",
    """\
| variable | values | default | meaning |
| --- | --- | --- | --- |
| `MINER_ADDRESS` | URL | **required** | the miner |""",
)


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    __import__("settings")
    return sys.modules["settings"]


def test_the_table_of_a_service_has_what_may_be_there_and_what_must(renderer: ModuleType) -> None:
    assert renderer.service_table(Shop) == SHOP


def test_executors_tables_tell_the_operators_variables_from_the_miners(
    renderer: ModuleType,
) -> None:
    meanings = {"MINER_ADDRESS": "the miner; required", "HF_ACCESS_TOKEN": "a token; default: none"}

    assert renderer.executor_tables(meanings, ["HF_ACCESS_TOKEN"]) == EXECUTORS


def test_a_variable_of_a_kind_that_has_no_words_is_noticed(renderer: ModuleType) -> None:
    class Odd(BaseSettings):
        number: complex = 1j

    with pytest.raises(KeyError):
        renderer.service_table(Odd)
