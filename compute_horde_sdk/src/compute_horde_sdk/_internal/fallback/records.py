"""Jobs that were sent to clouds, as files of their author: clouds forget machines that ended."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from compute_horde_sdk._internal.fallback.exceptions import FallbackError, FallbackNotFoundError

OWNER_ONLY = 0o600
FOLDER_MODE = 0o700
SUFFIX = ".json"


class Record(BaseModel):
    """A job: where it runs, and all that was heard of it if it has ended.

    ``log`` is its machine's, ``reason`` why it ended where that is not in the log.
    """

    uuid: str
    cloud: str
    machine: str
    created_at: datetime
    ticket: str = ""
    image: str | None = None
    streaming: bool = False
    phase: str = ""
    reason: str = ""
    log: str = ""
    ended: bool = False


class Records:
    """A folder of them. Any number of clients may share it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or _default_folder()).absolute()

    def prepare(self) -> None:
        """Makes the folder, for its author's eyes only.

        Raises:
            FallbackError: that cannot be.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        except OSError as error:
            raise FallbackError(f"{self.folder} cannot be made: {error}") from error

    def save(self, record: Record) -> None:
        """Keeps a record, in place of what was known of the job."""
        self.prepare()
        partial = self.folder / f".{record.uuid}.{os.getpid()}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(record.model_dump_json())
            partial.replace(self._path(record.uuid))
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise FallbackError(f"{self.folder} cannot be written: {error}") from error

    def load(self, uuid: str) -> Record:
        """The record of a job.

        Raises:
            FallbackNotFoundError: there is none.
        """
        try:
            return Record.model_validate_json(self._path(uuid).read_bytes())
        except (OSError, ValueError) as error:
            raise FallbackNotFoundError(
                f"there is no job {uuid!r:.100} in {self.folder}"
            ) from error

    def all(self) -> Iterator[Record]:
        """All of them, newest first."""
        found = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError, ValidationError):
                found.append(Record.model_validate_json(path.read_bytes()))
        yield from sorted(found, key=lambda record: record.created_at, reverse=True)

    def program(self, uuid: str) -> Path:
        """A folder for what the job's machine needs until it has started."""
        return self.folder / f"{uuid}.program"

    def _path(self, uuid: str) -> Path:
        if not uuid.replace("-", "").isalnum():
            raise FallbackNotFoundError(f"{uuid!r:.100} is no job's uuid")
        return self.folder / f"{uuid}{SUFFIX}"


def _default_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(state).expanduser() / "compute-horde" / "fallback"
    except RuntimeError as error:
        raise FallbackError("there is no home folder; give state_dir, or set HOME") from error
