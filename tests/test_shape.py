"""The size budget: what the code may look like, checked on its syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_NESTING = 3
_NESTS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_VAGUE_NAMES = {"utils.py", "helpers.py", "misc.py", "common.py", "internal.py", "default.py"}
_MAY_IMPORT_INSIDE = {"wiring.py", "embedded.py"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

SOURCES = sorted(path for path in ROOT.glob("*/src/**/*.py") if "migrations" not in path.parts)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS))


def _depth(node: ast.AST, depth: int = 0) -> int:
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deepest = max(deepest, _depth(child, depth + (isinstance(child, _NESTS) and not is_elif)))
    return deepest


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    assert SOURCES
    return {path: ast.parse(path.read_text()) for path in SOURCES}


def test_no_file_is_longer_than_a_reader_can_hold(trees: dict[Path, ast.Module]) -> None:
    long = {str(p): n for p in trees if (n := len(p.read_text().splitlines())) > MAX_FILE_LINES}

    assert long == {}


def test_no_function_is_longer_than_a_screen(trees: dict[Path, ast.Module]) -> None:
    long = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in trees.items()
        for function in _functions(tree)
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]

    assert long == []


def test_no_function_nests_deeper_than_three(trees: dict[Path, ast.Module]) -> None:
    deep = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in trees.items()
        for function in _functions(tree)
        if _depth(function) > MAX_NESTING
    ]

    assert deep == []


def test_imports_stand_at_the_top(trees: dict[Path, ast.Module]) -> None:
    inside = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        if path.name not in _MAY_IMPORT_INSIDE
        for function in _functions(tree)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]

    assert inside == []


def test_files_are_named_after_what_they_are_about(trees: dict[Path, ast.Module]) -> None:
    assert [str(path) for path in trees if path.name in _VAGUE_NAMES] == []


def test_ignores_name_what_they_ignore() -> None:
    bare = [
        f"{path}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.rstrip().endswith(("# type: ignore", "# noqa"))
    ]

    assert bare == []


def test_log_events_are_constant_phrases(trees: dict[Path, ast.Module]) -> None:
    built = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"log", "logger"}
        and node.args
        and not isinstance(node.args[0], ast.Constant)
    ]

    assert built == []


def test_only_the_clock_asks_what_the_time_is(trees: dict[Path, ast.Module]) -> None:
    asked = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        if path.name != "clock.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "timezone"}
    ]

    assert asked == []
