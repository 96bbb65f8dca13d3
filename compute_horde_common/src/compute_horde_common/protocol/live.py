"""What passes while a job runs: its output and progress towards its author, a cancellation towards
its container. The same messages on all three links.

They are said only on sockets whose two ends chose the subprotocol `JOB_CONTROL`: whoever dials
offers it, whoever answers picks it. On the facilitator's link it includes the challenge of
`facilitator_validator.CHALLENGE_FEATURE`. Peers of the live network never see any of this.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde_common.protocol.base import Message
from compute_horde_common.protocol.receipts import CanonicalUuid

JOB_CONTROL = "compute-horde.job-control"

MAX_PIECE_CHARACTERS = 16_384
MAX_PIECES = 64
MAX_PROGRESS_CHARACTERS = 200
LIVE_BYTES = 4 << 20
"""What is kept of one job's live output, in UTF-8 bytes, by whoever stores it. The executor drops
the middle so that it stays within; what a peer sends beyond is not stored."""
CANCEL_SECONDS = 15
"""How long a peer may take to report a cancelled job; then it is cancelled without its report."""


class CancelJob(Message):
    """Towards the executor: end this job now. Its report (`JobFailedReport`, reason ``cancelled``)
    follows, unless the job ended before. Said again until the job has ended."""

    message_type: Literal["V0JobCancelRequest"] = "V0JobCancelRequest"
    job_uuid: CanonicalUuid


class LogPiece(BaseModel):
    """A piece of a job's output, cut at the end of a line where that is possible.

    Pieces of one job are numbered from 0 without gaps, in the order in which they were read.
    ``dropped`` is how many bytes of output are missing just before this piece.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int = Field(ge=0, lt=1 << 59)
    stream: Literal["stdout", "stderr"]
    text: str = Field(max_length=MAX_PIECE_CHARACTERS)
    dropped: int = Field(default=0, ge=0, lt=1 << 63)


class JobLog(Message):
    """Towards the author: what the job wrote. The same piece may come more than once."""

    message_type: Literal["V0JobLog"] = "V0JobLog"
    job_uuid: CanonicalUuid
    pieces: list[LogPiece] = Field(max_length=MAX_PIECES)


class JobProgress(Message):
    """Towards the author: how far the job says it is, in percent, and a few words about it."""

    message_type: Literal["V0JobProgress"] = "V0JobProgress"
    job_uuid: CanonicalUuid
    percent: float = Field(ge=0, le=100)
    text: str = Field(default="", max_length=MAX_PROGRESS_CHARACTERS)
