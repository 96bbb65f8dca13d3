"""Miner and executor, in the order in which they speak. The executor dials
``/v0.1/executor_interface/{token}``; the token is its only credential and works once.

The messages are those of `validator_miner`, passed on: the miner fills in what only it knows.
"""

from typing import Annotated

from pydantic import Field

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

MinerToExecutor = Annotated[OfferJob | StartJob | GenericError, Field(discriminator="message_type")]
ExecutorToMiner = Annotated[
    ExecutorReady
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
