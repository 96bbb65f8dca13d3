"""Reading environment variables: each parser takes one text and raises ``ValueError`` with what it
expected; all faults are collected, so that they can be told at once."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast, get_args

from compute_horde_common.jobs.executor_classes import ExecutorClassSpec, define, executor_class
from compute_horde_common.telemetry.logs import LogFormat, LogLevel

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})
_LAST_PORT = 65535
_SHOWN = 100

T = TypeVar("T")


class Reader:
    """Parses variables one by one and collects what is wrong with them.

    Args:
        environment: the variables.
        meanings: what each one means, for messages about missing ones.
        secrets: names whose values are not to be shown.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        meanings: Mapping[str, str],
        secrets: frozenset[str] = frozenset(),
    ) -> None:
        self._environment = environment
        self._meanings = meanings
        self._secrets = secrets
        self.faults: list[str] = []

    def required(self, name: str, parse: Callable[[str], str]) -> str:
        """The value; a missing one is a fault."""
        if not self._environment.get(name):
            self.faults.append(f"{name} is not set: {self._meanings[name]}")
            return ""
        return self.optional(name, parse, "")

    def optional(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The value, or the default where there is none."""
        text = self._environment.get(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as fault:
            shown = "wrong" if name in self._secrets else repr(text[:_SHOWN])
            self.faults.append(f"{name} is {shown}: {fault}")
            return default


def address(text: str) -> str:
    if not text.startswith(("ws://", "wss://")):
        raise ValueError("expected ws://host:port or wss://host:port")
    return text.rstrip("/")


def token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected at most 128 letters, digits, dots, dashes and underscores")
    return text


def class_name(text: str) -> str | None:
    return executor_class(text).name


def positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("expected a number above 0")
    return value


def positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("expected a number, 0 or above")
    return value


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def ports(text: str) -> tuple[int, int]:
    """``6006`` or ``6000-6999``."""
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if not 0 < low <= high <= _LAST_PORT:
        raise ValueError("expected a port, or a range of ports such as 6000-6999")
    return low, high


def flag(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("expected true or false")


def folder(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or not path.is_dir():
        raise ValueError("expected the absolute path of an existing directory")
    return path


def file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("expected the path of an existing file")
    return path


def web_address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("expected http://host or https://host")
    return text.rstrip("/")


def log_level(text: str) -> LogLevel:
    for level in get_args(LogLevel):
        if text.lower() == level:
            return cast("LogLevel", level)
    raise ValueError(f"expected one of {', '.join(get_args(LogLevel))}")


def log_format(text: str) -> LogFormat:
    for form in get_args(LogFormat):
        if text.lower() == form:
            return cast("LogFormat", form)
    raise ValueError(f"expected one of {', '.join(get_args(LogFormat))}")


def define_classes(text: str) -> None:
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError("expected a JSON list of executor classes")  # noqa: TRY004 - a bad value
    define(ExecutorClassSpec.model_validate(item) for item in found)
