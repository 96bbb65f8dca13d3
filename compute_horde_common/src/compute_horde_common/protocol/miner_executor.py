"""Miner and executor, in the order in which they speak. The executor dials
``/v0.1/executor_interface/{token}``; the token is its only credential and works once.

The messages are those of `validator_miner`, passed on: the miner fills in what only it knows.
"""

from typing import Annotated, Literal

from pydantic import Field

from compute_horde_common.protocol.base import Message
from compute_horde_common.protocol.live import CancelJob, JobLog, JobProgress
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    GenericError,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    LegacyExecutorFailed,
    LegacyStreamingNotReady,
    MachineSpecs,
    OfferJob,
    StartJob,
    StreamingReady,
    VolumesReady,
)

MAX_FRAME = 50 << 20


class HostUnfit(Message):
    """Executor to miner, first, where the two chose `live.JOB_CONTROL`: do not offer this host,
    for these reasons, each fit to be shown to its operator. The executor then leaves."""

    message_type: Literal["V0HostUnfit"] = "V0HostUnfit"
    reasons: list[Annotated[str, Field(max_length=1000)]] = Field(min_length=1, max_length=64)


MinerToExecutor = Annotated[
    OfferJob | StartJob | CancelJob | GenericError, Field(discriminator="message_type")
]
ExecutorToMiner = Annotated[
    HostUnfit
    | ExecutorReady
    | JobLog
    | JobProgress
    | VolumesReady
    | StreamingReady
    | ExecutionDone
    | MachineSpecs
    | JobFinished
    | JobFailedReport
    | HordeFailed
    | GenericError
    | LegacyExecutorFailed
    | LegacyStreamingNotReady,
    Field(discriminator="message_type"),
]
