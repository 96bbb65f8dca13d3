"""What comes back of a job that ran well: logs, artifacts, and uploads to where its author said.

Everything below /output and the artifacts directory was made by the job: no link is followed, and
only plain files are read.
"""

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compute_horde_common.clock import Clock
from compute_horde_common.containers.interface import ContainerEngine, Logs
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.uploads import (
    MultiUpload,
    OutputUpload,
    SingleFilePostUpload,
    SingleFilePutUpload,
    SingleFileUpload,
)
from compute_horde_common.transfer.errors import (
    StorageFailed,
    TransferError,
    TransferTimedOut,
    UnsafePath,
)
from compute_horde_common.transfer.tree import Entry, Folder, Kind
from executor import wiring
from executor.config import ExecutorConfig
from executor.stages.logs import shortened

if TYPE_CHECKING:
    from compute_horde_common.transfer.send import Sender, UploadResult

MAX_ARTIFACT_BYTES = 1_000_000
MAX_ARTIFACTS_BYTES = 10 << 20
MAX_ARTIFACTS = 1000
UPLOADS_AT_ONCE = 3

_ENTRIES_LOOKED_AT = 10_000
_LEFT_OUT_NAMED = 20
_LOG_FILES = ("stdout.txt", "stderr.txt")
# More than the engine keeps of a stream, so that nothing is cut.
_WHOLE_LOG_BYTES = 64 << 20


@dataclass
class Artifacts:
    """Files by their path in the container, base64; and what was left out, each with its reason."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    size: int = 0

    def noted_in(self, stderr: str) -> str:
        """``stderr``, and at its end what is missing and why: there the job's author finds it."""
        if not self.left_out:
            return stderr
        lines = self.left_out[:_LEFT_OUT_NAMED]
        if more := len(self.left_out) - len(lines):
            lines.append(f"and {more} more left out")
        notes = "".join(f"[compute-horde] artifact {line}\n" for line in lines)
        between = "\n" if stderr and not stderr.endswith("\n") else ""
        return shortened(f"{stderr}{between}{notes}")


def collect_artifacts(folder: Folder, target: str) -> Artifacts:
    """The plain files directly in ``folder``, which the job saw as ``target``. Blocks.

    A file of ``MAX_ARTIFACT_BYTES`` or more is left out, and what goes beyond the total; so are
    links, folders and special files.
    """
    found = Artifacts()
    entries = sorted(_top_level(folder), key=lambda each: each.path)
    for entry in entries:
        path = f"{target}/{entry.path}"
        if reason := _refusal(entry, found):
            found.left_out.append(f"{_sayable(path)} left out: {reason}")
            continue
        try:
            with folder.open_file(entry.path) as file:
                content = file.read(MAX_ARTIFACT_BYTES)
        except UnsafePath as refusal:
            found.left_out.append(f"{_sayable(path)} left out: {refusal.why}")
            continue
        found.files[path] = base64.b64encode(content).decode("ascii")
        found.size += len(content)
    if len(entries) >= _ENTRIES_LOOKED_AT:
        found.left_out.append(f"{target}/* left out: more than {_ENTRIES_LOOKED_AT} entries")
    return found


def wanted_uploads(upload: OutputUpload | None) -> list[SingleFileUpload]:
    """The uploads that a job asks for.

    Raises:
        JobFailed: it asks for one that this executor cannot do; better said before the run.
    """
    match upload:
        case None:
            return []
        case SingleFilePostUpload() | SingleFilePutUpload():
            return [upload]
        case MultiUpload(system_output=None):
            return list(upload.uploads)
        case _:
            raise _failed(
                JobFailureReason.UPLOAD_FAILED,
                "Uploads of /output as a zip are not supported by this executor yet",
            )


async def write_logs(
    uploads: Sequence[SingleFileUpload], output: Folder, engine: ContainerEngine, container_id: str
) -> None:
    """Puts the whole streams into /output as stdout.txt and stderr.txt, if an upload names them.

    What the job itself left under these names is replaced, never followed.
    """
    wanted = {upload.relative_path for upload in uploads} & set(_LOG_FILES)
    if not wanted:
        return
    logs = await engine.logs(container_id, head_bytes=_WHOLE_LOG_BYTES, tail_bytes=0)
    for name, text in zip(_LOG_FILES, (logs.stdout, logs.stderr), strict=True):
        if name in wanted:
            with suppress(TransferError):
                _replace(output, name, text)


async def send_uploads(
    uploads: Sequence[SingleFileUpload],
    output: Folder,
    config: ExecutorConfig,
    logs: Logs,
    *,
    deadline: Deadline,
    clock: Clock,
) -> dict[str, str]:
    """Uploads all, a few at once; what each server answered, as JSON, by the file's path.

    Raises:
        JobFailed: one of them failed or the time is over.
        StorageFailed: this host's disk refused.
    """
    if not uploads:
        return {}
    try:
        async with wiring.sender(config) as sender, asyncio.TaskGroup() as group:
            sending = _Sending(sender, output, deadline, clock)
            tasks = {
                upload.relative_path: group.create_task(sending.send(upload)) for upload in uploads
            }
    except ExceptionGroup as failures:
        raise _upload_failure(failures.exceptions[0], logs) from None
    return {path: task.result() for path, task in tasks.items()}


class _Sending:
    """The uploads of one job on their way out."""

    def __init__(self, sender: "Sender", output: Folder, deadline: Deadline, clock: Clock) -> None:
        self._sender = sender
        self._output = output
        self._deadline = deadline
        self._clock = clock
        self._lanes = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def send(self, upload: SingleFileUpload) -> str:
        async with self._lanes:
            result = await self._send(upload)
        return json.dumps({"headers": result.headers, "body": result.body})

    async def _send(self, upload: SingleFileUpload) -> "UploadResult":
        within = self._deadline.left(self._clock.now())
        path, headers = upload.relative_path, upload.signed_headers
        if isinstance(upload, SingleFilePutUpload):
            return await self._sender.put(
                upload.url, self._output, path, within=within, headers=headers
            )
        return await self._sender.post(
            upload.url,
            self._output,
            path,
            within=within,
            form_fields=upload.form_fields,
            headers=headers,
        )


def _upload_failure(failure: Exception, logs: Logs) -> Exception:
    match failure:
        case TransferTimedOut():
            return _failed(JobFailureReason.TIMEOUT, "The uploads were not done in time", logs)
        case StorageFailed():
            return failure
        case TransferError():
            return _failed(JobFailureReason.UPLOAD_FAILED, str(failure), logs)
        case _:
            return failure


def _failed(reason: JobFailureReason, message: str, logs: Logs | None = None) -> JobFailed:
    return JobFailed(
        JobFailure(
            reason=reason,
            stage=Stage.RESULT_UPLOAD,
            message=message,
            docker_process_stdout=logs.stdout if logs else None,
            docker_process_stderr=logs.stderr if logs else None,
        )
    )


def _top_level(folder: Folder) -> Iterator[Entry]:
    """Entries directly in the folder; ``walk`` lists these before it goes deeper."""
    for looked_at, entry in enumerate(folder.walk()):
        if "/" in entry.path or looked_at >= _ENTRIES_LOOKED_AT:
            return
        yield entry


def _refusal(entry: Entry, found: Artifacts) -> str:
    if entry.kind is not Kind.FILE:
        return f"only plain files are returned ({entry.kind.value})"
    if entry.size >= MAX_ARTIFACT_BYTES:
        return f"{entry.size} bytes; each must have less than {MAX_ARTIFACT_BYTES}"
    if len(found.files) >= MAX_ARTIFACTS:
        return f"there are more than {MAX_ARTIFACTS}"
    if found.size + entry.size > MAX_ARTIFACTS_BYTES:
        return f"all together would have more than {MAX_ARTIFACTS_BYTES} bytes"
    return ""


def _sayable(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()


def _replace(folder: Folder, name: str, text: str) -> None:
    folder.remove_file(name)
    with folder.open_file(name, "xb") as file:
        file.write(text.encode(errors="replace"))
