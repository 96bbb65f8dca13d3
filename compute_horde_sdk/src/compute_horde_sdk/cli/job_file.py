"""Job files: YAML or TOML with the names of the flags of ``horde run``.

Every scalar of YAML is taken as it is written: ``no``, ``1.10`` and ``0x1F`` are texts where texts
are wanted. Faults are told with the line that they are in.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from compute_horde_sdk.cli.trouble import WrongUsage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STDIN = "-"
SDK_NAMES = {
    "docker_image": "image",
    "executor_class": "class",
    "job_namespace": "namespace",
    "artifacts_dir": "artifacts",
    "input_volumes": "input",
    "output_volumes": "output",
    "on_trusted_miner": "trusted",
    "max_attempts": "attempts",
    "download_time_limit_sec": "limits",
    "execution_time_limit_sec": "limits",
    "upload_time_limit_sec": "limits",
}
Location = tuple[int | str, ...]

_PROBLEMS = {
    "list_type": "must be a list, e.g. [echo, hello]",
    "dict_type": "must be names with values, e.g. {NAME: value}",
    "model_type": "must be names with values",
    "string_type": "must be a text",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "missing": "is missing",
    "literal_error": "must be PUT or POST",
    "greater_than": "must be more than 0",
    "greater_than_equal": "must be at least 1",
}
_SHAPES = {
    "env": "KEY=VALUE, nor a variable of yours",
    "input": "MOUNT=SOURCE, e.g. /volume/data.json=./data.json",
    "output": "MOUNT=URL, e.g. /output/result=https://...",
    "limits": "STAGE=SECONDS, e.g. execution=300",
}
_HUGGINGFACE = re.compile(
    r"hf:(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^@]+)(?:@(?P<revision>.+))?"
)


def _text(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError("must be a text; put it in quotes")  # noqa: TRY004 - pydantic's way
    return value


def _input_table(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://")):
        return {"url": value}
    match = _HUGGINGFACE.fullmatch(value)
    if match is None:
        return {"path": value}
    kind = (match["kind"] or "").removesuffix("s") or None
    return {"repo_id": match["repo_id"], "repo_type": kind, "revision": match["revision"]}


def _output_table(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)


class Limits(_Part):
    """Seconds for each stage; ``None`` is the SDK's default."""

    download: int | None = None
    execution: int | None = None
    upload: int | None = None
    streaming_start: int | None = Field(default=None, alias="streaming-start")


class Input(_Part):
    """An input: a URL, a file or folder of this machine, or a repository on Hugging Face."""

    url: Text | None = None
    sha256: Text | None = None
    path: Text | None = None
    repo_id: Text | None = None
    repo_type: Text | None = None
    revision: Text | None = None
    allow_patterns: list[Text] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if [self.url, self.path, self.repo_id].count(None) != 2:  # noqa: PLR2004 - of three
            raise ValueError("must have exactly one of url, path and repo_id")
        return self


class Output(_Part):
    """Where an output is sent."""

    http_method: Literal["PUT", "POST"] = "PUT"
    url: Text
    form_fields: dict[str, Text] | None = None
    signed_headers: dict[str, Text] | None = None


class Job(_Part):
    """What a job file and flags may say."""

    image: Text | None = None
    args: list[Text] = []
    job_class: Text | None = Field(default=None, alias="class")
    namespace: Text | None = None
    env: dict[str, Text] = {}
    env_file: Path | None = Field(default=None, alias="env-file")
    input: dict[str, Annotated[Input, BeforeValidator(_input_table)]] = {}
    output: dict[str, Annotated[Output, BeforeValidator(_output_table)]] = {}
    artifacts: Text | None = None
    save_artifacts: Path | None = Field(default=None, alias="save-artifacts")
    limits: Limits = Limits()
    streaming: bool = False
    trusted: bool = False
    timeout: Annotated[float, Field(gt=0)] | None = None
    attempts: Annotated[int, Field(ge=1)] | None = None

    def changed_by(self, other: "Job") -> "Job":
        """This job with what the other one says: variables, volumes and limits one by one."""
        said = {name: getattr(other, name) for name in other.model_fields_set}
        for name in {"env", "input", "output"} & set(said):
            said[name] = {**getattr(self, name), **said[name]}
        if "limits" in said:
            update = other.limits.model_dump(exclude_unset=True)
            said["limits"] = self.limits.model_copy(update=update)
        return self.model_copy(update=said)

    def below(self, folder: Path) -> "Job":
        """This job with its relative paths made relative to a folder."""
        inputs = {
            mount: source.model_copy(update={"path": str(folder / source.path)})
            if source.path
            else source
            for mount, source in self.input.items()
        }
        paths = {
            name: folder / path
            for name in ("env_file", "save_artifacts")
            if (path := getattr(self, name))
        }
        return self.model_copy(update={"input": inputs, **paths} if inputs else paths)


NAMES = tuple(field.alias or name for name, field in Job.model_fields.items())


def read_job(name: str) -> Job:
    """The job of a file; ``-`` is stdin. Its paths are relative to the file.

    Raises:
        WrongUsage: the file cannot be read, or something in it cannot work.
    """
    text = _contents(name)
    shown = "stdin" if name == STDIN else name
    parse = _parsed_toml if name.endswith(".toml") else _parsed_yaml
    document, line_of = parse(text, shown)
    try:
        job = Job.model_validate(document, by_name=False)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        raise _wrong(shown, fault, line_of) from None
    return job if name == STDIN else job.below(Path(name).parent)


def wanted_job(
    file: str | None, said: Mapping[str, object], pairs: Mapping[str, Sequence[str]]
) -> Job:
    """The job of a file, if there is one, changed by what flags say.

    Args:
        file: name of the job file.
        said: what flags say by name; ``None`` where they say nothing.
        pairs: those that may be repeated, each ``NAME=VALUE``.

    Raises:
        WrongUsage: something in it cannot work.
    """
    texts = {name: _pairs(name, listed) for name, listed in pairs.items() if listed}
    flags = {name: value for name, value in said.items() if value is not None}
    try:
        changes = Job.model_validate({**flags, **texts}, by_name=False)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        if fault["type"] == "extra_forbidden":
            flag, wrong = fault["loc"][0], fault["loc"][-1]
            raise WrongUsage(f"--{flag}: unknown name {wrong!r}", _known(fault["loc"])) from None
        raise WrongUsage(f"--{_field(fault)} {_problem(fault)}", "`horde run --help`") from None
    return (read_job(file) if file else Job()).changed_by(changes)


def _pairs(name: str, listed: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in _split(listed) if name == "limits" else listed:
        key, equals, value = text.partition("=")
        if name == "env" and not equals and key in os.environ:
            value = os.environ[key]
        elif not key or not equals:
            raise WrongUsage(f"--{name} {text!r} is not {_SHAPES[name]}", "`horde run --help`")
        found[key] = value
    return found


def _split(listed: Sequence[str]) -> list[str]:
    return [part for text in listed for part in text.split(",")]


LineOf = Callable[[Location], int | None]


def _contents(name: str) -> str:
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text("utf-8")
    except OSError as error:
        raise WrongUsage(
            f"the job file {name} cannot be read: {error.strerror}", "Check -f/--file."
        ) from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"the job file {name} is no text in UTF-8", "Check -f/--file.") from error


def _parsed_toml(text: str, name: str) -> tuple[Mapping[str, object], LineOf]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUsage(f"{name} is no TOML: {error}", "Correct the file.") from error
    return document, lambda location: _line_in_toml(text, location)


def _line_in_toml(text: str, location: Location) -> int | None:
    """The parser keeps no lines: this is the last one that sets the innermost key."""
    lines = text.splitlines()
    for part in reversed([part for part in location if isinstance(part, str)]):
        key = re.escape(part)
        sets = re.compile(rf"""(^|[\s{{,.\[])["']?{key}["']?\s*([.=\]])""")
        found = [number for number, line in enumerate(lines, 1) if sets.search(line)]
        if found:
            return found[-1]
    return None


def _parsed_yaml(text: str, name: str) -> tuple[Mapping[str, object], LineOf]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it has characters that YAML does not allow"
        raise WrongUsage(f"{name} is no YAML{where}: {problem}", "Correct the file.") from error
    if not isinstance(root, yaml.MappingNode):
        raise WrongUsage(
            f"{name} is no job: a job file has lines such as `image: busybox`",
            "Correct the file; docs/sdk/cli.md has one with all names.",
        )
    try:
        document = _mapping(root, name)
    except RecursionError as error:
        raise WrongUsage(
            f"{name} has an alias that stands in itself", "Correct the file."
        ) from error
    return document, lambda location: _line_in_yaml(root, location)


def _value(node: yaml.Node, name: str) -> object:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, name) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name)
    is_nothing = node.tag == "tag:yaml.org,2002:null"
    return None if is_nothing else node.value


def _mapping(node: yaml.MappingNode, name: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in node.value:
        text = str(key.value)
        if text in values:
            line = key.start_mark.line + 1
            raise WrongUsage(f"{name}, line {line}: {text!r} stands there twice", "Remove one.")
        values[text] = _value(value, name)
    return {key: value for key, value in values.items() if value is not None}


def _line_in_yaml(node: yaml.Node, location: Location) -> int | None:
    line: int | None = None
    for part in location:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line


def _child(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == part:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _wrong(name: str, fault: Mapping[str, Any], line_of: LineOf) -> WrongUsage:
    location: Location = fault["loc"]
    line = line_of(location)
    where = f"{name}, line {line}" if line else name
    if fault["type"] == "extra_forbidden":
        return WrongUsage(f"{where}: unknown name {location[-1]!r}", _known(location))
    return WrongUsage(f"{where}: {_field(fault)} {_problem(fault)}", "Correct the file.")


def _field(fault: Mapping[str, Any]) -> str:
    return ".".join(map(str, fault["loc"]))


def _problem(fault: Mapping[str, Any]) -> str:
    return _PROBLEMS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")


def _known(location: Location) -> str:
    wrong = str(location[-1])
    known: list[str] = list(NAMES)
    if len(location) > 1:
        parts: dict[str, type[BaseModel]] = {"limits": Limits, "input": Input, "output": Output}
        part = parts.get(str(location[0]), Job)
        known = [field.alias or name for name, field in part.model_fields.items()]
    close = difflib.get_close_matches(wrong, known, n=1)
    meant = SDK_NAMES.get(wrong) or (close[0] if close else None)
    return f"Did you mean {meant!r}?" if meant else f"Known names: {', '.join(known)}."
