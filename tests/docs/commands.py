"""The commands in the pages for operators, and the programs that they call."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.docs.pages import ROOT, blocks

SERVICES = ("facilitator", "validator", "miner")
ENVIRONMENT = {
    "SECRET_KEY": "only-for-tests-" + "0" * 40,
    "JWT_SECRET": "only-for-tests-" + "1" * 40,
    "DATABASE_URL": "postgresql://nobody:nothing@localhost/nowhere",
    "REDIS_URL": "redis://localhost/0",
}
SCRIPTS = {
    "configure": ROOT / "docker" / "configure",
    "docker/build": ROOT / "docker" / "build",
    "docker/configure": ROOT / "docker" / "configure",
    "install_miner.sh": ROOT / "install_miner.sh",
    "install_validator.sh": ROOT / "install_validator.sh",
    "upgrade": ROOT / "docker" / "upgrade",
}
"""Programs of the repository by how pages call them, without a leading ``./``."""
COMPOSE_VERBS = {"config", "down", "exec", "logs", "ps", "restart", "stop", "up"}
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")
_COMMANDS = """
import json
from django import setup
from django.core.management import get_commands, load_command_class
setup()
def options(name, app):
    parser = load_command_class(app, name).create_parser("manage", name)
    return sorted(word for action in parser._actions for word in action.option_strings)
print(json.dumps({name: options(name, app) for name, app in get_commands().items()}))
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page: where it stands, the service that the page is about, and its words."""

    page: Path
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line} {shlex.join(self.words)}"


def commands(page: Path) -> Iterator[Command]:
    """The commands in a page's blocks, and in backticks in its text."""
    for block in blocks(page):
        if block.kind == "sh":
            text = block.text.replace("\\\n", "  ")
            for offset, line in enumerate(text.splitlines()):
                yield from _in_line(page, block.line + offset, line)
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for text in re.findall(r"`([^`]+)`", line):
            if text.startswith(
                ("docker compose ", "manage ", "./", "docker/", "python -m django ")
            ):
                yield from _in_line(page, number, text)


def _in_line(page: Path, line: int, text: str) -> Iterator[Command]:
    # Commands that are sent to a server stand in quotation marks.
    text = re.sub(r"^ssh \S+ '(.*)'", r"\1", text.strip())
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            if words:
                yield Command(page, line, tuple(words))
            words = []
        elif words or not _ASSIGNMENT.match(word):
            words.append(word)


@cache
def management_commands(service: str) -> Mapping[str, list[str]]:
    """The options of each management command of a service."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS],
        env={**os.environ, **ENVIRONMENT, "DJANGO_SETTINGS_MODULE": f"{service}.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@cache
def help_of(script: Path) -> str:
    """What a program of the repository says of itself."""
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


@cache
def containers() -> frozenset[str]:
    """The services of the compose file."""
    return frozenset(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])


def fault(command: Command) -> str | None:
    """What is wrong with a command of ours, if anything is."""
    name = command.words[0].removeprefix("./")
    service = next((name for name in SERVICES if name in command.page.stem), "miner")
    match command.words:
        case ("docker", "compose", *words):
            return _compose_fault(words)
        case ("python", "-m", "django", *words) | ("manage", *words):
            return _management_fault(service, words)
        case (_, *words) if name in SCRIPTS:
            return _unknown_options(words, help_of(SCRIPTS[name]).split())
    is_ours = command.words[0].startswith(("./", "docker/"))
    return f"there is no {name}" if is_ours and not (ROOT / name).exists() else None


def _compose_fault(words: list[str]) -> str | None:
    if not words or words[0] not in COMPOSE_VERBS:
        return f"unexpected: docker compose {' '.join(words[:1])}"
    if words[0] != "exec":
        named = [word for word in words[1:] if re.fullmatch(r"(\w+)-(\w+)", word)]
        unknown = [word for word in named if word not in containers()]
        return f"there are no containers {unknown}" if unknown else None
    container, *inside = [word for word in words[1:] if word != "-T"]
    if container not in containers():
        return f"there is no container {container}"
    if inside[:1] == ["manage"]:
        return _management_fault(container.split("-")[0], inside[1:])
    return None


def _management_fault(service: str, words: list[str]) -> str | None:
    known = management_commands(service)
    if words[0] not in known:
        return f"{service} has no management command {words[0]}"
    return _unknown_options(words[1:], known[words[0]])


def _unknown_options(words: list[str], known: list[str]) -> str | None:
    options = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    known_words = {re.sub(r"[\[\],]", "", word) for word in known}
    return f"unknown options {options - known_words}" if options - known_words else None
