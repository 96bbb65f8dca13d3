"""How a job is shown to its author. Built as plain JSON values: what validators said is passed on
as they said it, with members that we do not know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue, TypeAdapter

from compute_horde_common.jobs.lifecycle import JobStatus

View = dict[str, JsonValue | datetime]

_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_COPIED = (
    "executor_class",
    "docker_image",
    "args",
    "env",
    "use_gpu",
    "artifacts_dir",
    "on_trusted_miner",
    "download_time_limit",
    "execution_time_limit",
    "upload_time_limit",
    "streaming_start_time_limit",
    "volumes",
    "uploads",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A status that a job reached; ``metadata`` is JSON text, empty for none."""

    status: str
    metadata: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job said it is, in percent, and when."""

    percent: float
    text: str
    at: datetime

    def shown(self) -> dict[str, JsonValue]:
        """As the API shows it."""
        return {"percent": self.percent, "text": self.text, "at": _text(self.at)}


@dataclass(frozen=True, slots=True)
class Facts:
    """A job as it is stored; ``spec`` is JSON text."""

    uuid: str
    spec: str
    target: str
    namespace: str | None
    tag: str
    status: str
    created_at: datetime
    last_update: datetime
    cancel_requested_at: datetime | None = None
    progress: Progress | None = None


def job_view(job: Facts, history: Sequence[Entry]) -> View:
    """The job object of the API; ``history`` is in the order of time."""
    spec = _OBJECT.validate_json(job.spec)
    told = {entry.status: metadata_of(entry) for entry in history}
    newest = _member(told.get(job.status, {}), "miner_response")
    result = _member(told.get(JobStatus.COMPLETED, {}), "miner_response")
    server = _member(told.get(JobStatus.STREAMING_READY, {}), "streaming_details")
    return {
        "uuid": job.uuid,
        "created_at": job.created_at,
        "last_update": job.last_update,
        "status": JobStatus(job.status).label,
        "job_namespace": job.namespace,
        "tag": job.tag,
        "target_validator_hotkey": job.target,
        **{name: spec[name] for name in _COPIED},
        "stdout": newest.get("docker_process_stdout", ""),
        "stderr": newest.get("docker_process_stderr", ""),
        "artifacts": result.get("artifacts", {}),
        "upload_results": result.get("upload_results", {}),
        "streaming_client_cert": _member(spec, "streaming_details").get("public_key", ""),
        "streaming_server_cert": server.get("streaming_server_cert", ""),
        "streaming_server_address": server.get("streaming_server_address", ""),
        "streaming_server_port": server.get("streaming_server_port", 0),
        "cancel_requested_at": job.cancel_requested_at,
        "progress": job.progress.shown() if job.progress else None,
        "status_history": [_line(entry, told[entry.status]) for entry in history],
    }


def entry_view(entry: Entry) -> dict[str, JsonValue]:
    """A line of a job's history."""
    return _line(entry, metadata_of(entry))


def metadata_of(entry: Entry) -> dict[str, JsonValue]:
    """What there is to say about a status."""
    return _OBJECT.validate_json(entry.metadata) if entry.metadata else {}


def _line(entry: Entry, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {"status": entry.status, "metadata": metadata, "created_at": _text(entry.at)}


def _member(value: dict[str, JsonValue], name: str) -> dict[str, JsonValue]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
