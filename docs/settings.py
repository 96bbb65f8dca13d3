"""The configuration reference: every variable that services, executors and Docker Compose read."""

import ast
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Union, get_args, get_origin

from pydantic import PostgresDsn, RedisDsn, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode

ROOT = Path(__file__).parent.parent
KINDS: Final[Mapping[object, str]] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "text",
    PostgresDsn: "URL",
    RedisDsn: "URL",
}
SECRETS: Final = (SecretStr, PostgresDsn, RedisDsn)
"""Kinds of variables that are nobody else's to know: URLs hold passwords."""
BOUNDS: Final = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "min_length": "≥ {} characters"}
PARSERS: Final = {
    "address": "URL",
    "class_name": "executor class",
    "count": "whole number",
    "define_classes": "JSON",
    "file": "path of a file",
    "flag": "`true` or `false`",
    "folder": "path of a folder",
    "log_format": "word",
    "log_level": "word",
    "ports": "port, or `FIRST-LAST`",
    "positive_float": "number, > 0",
    "positive_int": "whole number, > 0",
    "str": "text",
    "token": "text",
    "web_address": "URL",
    "words": "list, separated by commas",
}
"""What each parser of ``executor.environment`` takes."""
EXECUTOR_SECRETS: Final = {"EXECUTOR_TOKEN", "HF_ACCESS_TOKEN"}
REQUIRED: Final = "**required**"


@dataclass(frozen=True, slots=True)
class Variable:
    """A row of a table. ``default`` is what holds if nothing is said."""

    name: str
    values: str
    default: str
    meaning: str


def service_table(kind: type[BaseSettings]) -> str:
    """The variables of a service."""
    return _table(_variable(name.upper(), field) for name, field in kind.model_fields.items())


def executor_tables(meanings: Mapping[str, str], operators: Iterable[str]) -> tuple[str, str]:
    """The variables of executors that ``operators`` may set, and the others."""
    parsers = dict(_parsers())
    rows = [_executors(name, text, parsers[name]) for name, text in meanings.items()]
    theirs = {*operators}
    return (
        _table(row for row in rows if row.name in theirs),
        _table(row for row in rows if row.name not in theirs),
    )


def compose_table(example: str) -> str:
    """The variables of Compose, from what ``docker/configure --example`` prints."""
    found = re.findall(r"^# (.+)\n# ([A-Z_]+)=(.*)$", example, re.MULTILINE)
    return _table(Variable(name, "text", _code(value), meaning) for meaning, name, value in found)


def _table(rows: Iterable[Variable]) -> str:
    cells = [("variable", "values", "default", "meaning"), ("---",) * 4]
    cells += [(f"`{row.name}`", row.values, row.default, row.meaning) for row in rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in cells)


def _variable(name: str, field: FieldInfo) -> Variable:
    kind = next(kind for kind in _members(field.annotation) if kind is not type(None))
    values = ", ".join([_values(kind, field), *_bounds(field)])
    return Variable(
        name=name,
        values=f"{values}; **secret**" if kind in SECRETS else values,
        default=REQUIRED if field.is_required() else _default(field.default),
        meaning=field.description or "",
    )


def _members(annotation: object) -> tuple[object, ...]:
    is_union = get_origin(annotation) in {Union, types.UnionType}
    return get_args(annotation) if is_union else (annotation,)


def _values(kind: object, field: FieldInfo) -> str:
    by_hand = any(each is NoDecode for each in field.metadata)
    match get_origin(kind):
        case origin if origin is Literal:
            return ", ".join(f"`{value}`" for value in get_args(kind))
        case origin if origin is list:
            return "list, separated by commas" if by_hand else "JSON"
        case origin if origin is dict:
            return "`NAME=VALUE` lines, or JSON"
    return KINDS[kind]


def _bounds(field: FieldInfo) -> Iterator[str]:
    for each in field.metadata:
        for name, words in BOUNDS.items():
            if (bound := getattr(each, name, None)) is not None:
                yield words.format(bound)


def _default(value: object) -> str:
    match value:
        case None | [] | {}:
            return ""
        case bool():
            return _code(str(value).lower())
        case list():
            return _code(",".join(map(str, value)))
    return _code(str(value))


def _executors(name: str, text: str, parser: str) -> Variable:
    """From ``MEANING; default: VALUE`` or ``MEANING; required``."""
    meaning, _, rest = text.partition("; ")
    values = PARSERS[parser]
    return Variable(
        name=name,
        values=f"{values}; **secret**" if name in EXECUTOR_SECRETS else values,
        default=REQUIRED if rest == "required" else rest.removeprefix("default: "),
        meaning=meaning,
    )


def _parsers() -> Iterator[tuple[str, str]]:
    """Which parser reads each variable of executors."""
    for node in ast.walk(ast.parse((ROOT / "executor/src/executor/config.py").read_text())):
        match node:
            case ast.Call(args=[ast.Constant(value=str(name)), ast.Attribute(attr=parser), *_]):
                yield name, parser
            case ast.Call(args=[ast.Constant(value=str(name)), ast.Name(id=parser), *_]):
                yield name, parser


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
