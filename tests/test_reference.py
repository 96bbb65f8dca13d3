"""The SDK's reference is rendered from what its modules export."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = '''
"""A package."""

__all__ = ["Cat", "Tom"]


class _Animal:
    def eat(self, *, grams: int = 3) -> None:
        """Feeds it.

        Args:
            grams: how much; ``0`` is refused, as of `Cat`.

        Raises:
            ValueError: it is 0.
        """

    def _digest(self) -> None: ...


class Cat(_Animal):
    """An animal."""

    @property
    def name(self) -> str:
        """How to call it."""
        return ""


class Tom(Cat):
    """Male."""


def not_exported() -> None: ...
'''
PAGE = """\
## animals

A package.

- [`Cat`](#cat)
- [`Tom`](#tom)

### Cat

```text
class Cat
```

An animal.

#### Cat.name

```text
name: str
```

How to call it.

#### Cat.eat

```text
eat(*, grams: int = 3) -> None
```

Feeds it.

Arguments:

- `grams`: how much; `0` is refused, as of [`Cat`](#cat).

Raises:

- `ValueError`: it is 0.

### Tom

```text
class Tom
```

Derives from [`Cat`](#cat).

Male.
"""


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    __import__("reference")
    return sys.modules["reference"]


def test_a_page_has_what_is_exported_once_and_nothing_private(
    renderer: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "animals.py").write_text(SOURCE)

    page = renderer.reference(["animals"], [tmp_path])

    assert page == renderer.INTRODUCTION + "\n" + PAGE


@pytest.mark.parametrize(("docstring", "name"), [("How to call it.", "Cat.name"), ("Male.", "Tom")])
def test_an_exported_thing_without_a_docstring_is_named(
    renderer: ModuleType, tmp_path: Path, docstring: str, name: str
) -> None:
    source = SOURCE.replace(f'"""{docstring}"""', "pass")
    (tmp_path / "animals.py").write_text(source)

    with pytest.raises(renderer.UndocumentedError, match=f"without a docstring: {name}$"):
        renderer.reference(["animals"], [tmp_path])
