"""What an executor reads from its environment.

A plain dataclass: pydantic-settings takes longer to import than everything else here together, and
every job pays for its own executor's start.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast, get_args

from compute_horde_common.containers.labels import job_folder_name
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec, define, executor_class
from compute_horde_common.telemetry.logs import LogFormat, LogLevel

_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})
_SECRETS = frozenset({"EXECUTOR_TOKEN"})
_DEFAULT_FORMAT: LogFormat = "auto"
_DEFAULT_LEVEL: LogLevel = "info"

T = TypeVar("T")

ENVIRONMENT: Mapping[str, str] = {
    "MINER_ADDRESS": "the miner's websocket, ws://host:port; required",
    "EXECUTOR_TOKEN": "one-time token that the miner made; required",
    "EXECUTOR_OWNER": "label value by which the owner finds its containers; default: the token",
    "EXECUTOR_CLASS": "the only executor class to take jobs of; default: any",
    "STARTUP_TIME_LIMIT": "seconds from offer to ready; default: by the job's executor class",
    "EXECUTOR_WORK_DIR": "where job files go, also a path on Docker's host; default: /tmp",
    "EXECUTOR_MEMORY_BYTES": "memory of a job whose class promises none; default: 3/4 of the host",
    "EXECUTOR_CPUS": "CPUs of a job whose class promises none, e.g. 1.5; default: all",
    "VOLUME_MAX_SIZE_BYTES": "all inputs of a job together; default: 2147483648",
    "ALLOW_PRIVATE_ADDRESSES": "let jobs' URLs name private addresses; default: false",
    "DEBUG_NO_GPU_MODE": "run jobs of GPU classes without a GPU; default: false",
    "DOCKER_HOST": "unix:///path or tcp://host:port; default: unix:///var/run/docker.sock",
    "EXTRA_EXECUTOR_CLASSES": "JSON list of executor classes beyond the built-in ones; default: []",
    "LOG_LEVEL": "debug, info, warning or error; default: info",
    "LOG_FORMAT": "json, console or auto, which asks the terminal; default: auto",
}
"""Every variable that is read, with its meaning and default."""


class ConfigurationError(ValueError):
    """The environment is not usable; the message has one line for each fault."""


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """How one executor runs. ``None`` stands for: decided by the job's class or by the host."""

    miner_address: str
    token: str
    owner: str
    executor_class: str | None = None
    startup_seconds: int | None = None
    work_dir: Path = Path(tempfile.gettempdir())
    memory_bytes: int | None = None
    cpus: float | None = None
    input_bytes: int = 2 << 30
    allow_private_addresses: bool = False
    no_gpu: bool = False
    docker_address: str = "unix:///var/run/docker.sock"
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    @property
    def url(self) -> str:
        """Where the miner waits for this executor. Holds the token: not for logs."""
        return f"{self.miner_address}/v0.1/executor_interface/{self.token}"

    @property
    def job_folder(self) -> Path:
        """Where the job's files are. Named by the token, so that the owner of an executor that was
        killed finds what it left."""
        return self.work_dir / job_folder_name(self.token)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ExecutorConfig":
        """The configuration in ``environment``, by default the process's own.

        Raises:
            ConfigurationError: with all faults at once.
        """
        read = _Reader(os.environ if environment is None else environment)
        read.optional("EXTRA_EXECUTOR_CLASSES", _define_classes, None)
        token = read.required("EXECUTOR_TOKEN", _token)
        config = cls(
            miner_address=read.required("MINER_ADDRESS", _address),
            token=token,
            owner=read.optional("EXECUTOR_OWNER", _label, token),
            executor_class=read.optional("EXECUTOR_CLASS", _class_name, None),
            startup_seconds=read.optional("STARTUP_TIME_LIMIT", _positive_int, None),
            work_dir=read.optional("EXECUTOR_WORK_DIR", _folder, cls._default_work_dir()),
            memory_bytes=read.optional("EXECUTOR_MEMORY_BYTES", _positive_int, None),
            cpus=read.optional("EXECUTOR_CPUS", _positive_float, None),
            input_bytes=read.optional("VOLUME_MAX_SIZE_BYTES", _positive_int, 2 << 30),
            allow_private_addresses=read.optional("ALLOW_PRIVATE_ADDRESSES", _flag, False),
            no_gpu=read.optional("DEBUG_NO_GPU_MODE", _flag, False),
            docker_address=read.optional("DOCKER_HOST", str, "unix:///var/run/docker.sock"),
            log_level=read.optional("LOG_LEVEL", _log_level, _DEFAULT_LEVEL),
            log_format=read.optional("LOG_FORMAT", _log_format, _DEFAULT_FORMAT),
        )
        if read.faults:
            raise ConfigurationError("\n".join(read.faults))
        return config

    @staticmethod
    def _default_work_dir() -> Path:
        return Path(tempfile.gettempdir())


class _Reader:
    """Parses variables one by one and collects what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def required(self, name: str, parse: Callable[[str], str]) -> str:
        if not self._environment.get(name):
            self.faults.append(f"{name} is not set: {ENVIRONMENT[name]}")
            return ""
        return self.optional(name, parse, "")

    def optional(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._environment.get(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as fault:
            shown = "wrong" if name in _SECRETS else repr(text[:100])
            self.faults.append(f"{name} is {shown}: {fault}")
            return default


def _address(text: str) -> str:
    if not text.startswith(("ws://", "wss://")):
        raise ValueError("expected ws://host:port or wss://host:port")
    return text.rstrip("/")


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("expected at most 128 letters, digits, dots, dashes and underscores")
    return text


def _label(text: str) -> str:
    return text


def _class_name(text: str) -> str | None:
    return executor_class(text).name


def _positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("expected a number above 0")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("expected a number above 0")
    return value


def _flag(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("expected true or false")


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or not path.is_dir():
        raise ValueError("expected the absolute path of an existing directory")
    return path


def _log_level(text: str) -> LogLevel:
    for level in get_args(LogLevel):
        if text.lower() == level:
            return cast("LogLevel", level)
    raise ValueError(f"expected one of {', '.join(get_args(LogLevel))}")


def _log_format(text: str) -> LogFormat:
    for form in get_args(LogFormat):
        if text.lower() == form:
            return cast("LogFormat", form)
    raise ValueError(f"expected one of {', '.join(get_args(LogFormat))}")


def _define_classes(text: str) -> None:
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError("expected a JSON list of executor classes")  # noqa: TRY004 - a bad value
    define(ExecutorClassSpec.model_validate(item) for item in found)
