from uuid import uuid4

import pytest

from compute_horde_common.jobs.failures import JobFailureReason, Stage
from compute_horde_common.protocol.validator_miner import (
    ExecutionDone,
    ExecutorReady,
    HordeFailed,
    JobFailedReport,
    JobFinished,
    MachineSpecs,
    StreamingReady,
    VolumesReady,
)
from miner.domain.progress import JobState, OutOfOrder, after, cancelled

JOB = str(uuid4())
VOLUMES = VolumesReady(job_uuid=JOB)
STREAMING = StreamingReady(job_uuid=JOB, public_key="x", port=1)
DONE = ExecutionDone(job_uuid=JOB)
FINISHED = JobFinished(job_uuid=JOB, docker_process_stdout="", docker_process_stderr="")
SPECS = MachineSpecs(job_uuid=JOB, specs={})
HORDE_FAILED = HordeFailed(job_uuid=JOB, reported_by="executor", message="", reason="unknown")


def test_a_job_that_goes_well_passes_through_its_states() -> None:
    state = JobState.STARTED

    state = after(state, VOLUMES)
    state = after(state, STREAMING)
    state = after(state, DONE)
    state = after(state, SPECS)

    assert after(state, FINISHED) is JobState.ENDED


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (JobState.READY, ExecutorReady(job_uuid=JOB)),
        (JobState.ACCEPTED, VOLUMES),
        (JobState.READY, VOLUMES),
        (JobState.STARTED, DONE),
        (JobState.STARTED, FINISHED),
        (JobState.STARTED, STREAMING),
        (JobState.EXECUTED, VOLUMES),
        (JobState.ACCEPTED, SPECS),
        (JobState.ENDED, FINISHED),
        (JobState.ENDED, HORDE_FAILED),
    ],
)
def test_a_message_out_of_order_is_refused(state: JobState, step: VolumesReady) -> None:
    with pytest.raises(OutOfOrder):
        after(state, step)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.ENDED])
def test_a_job_may_fail_in_any_state(state: JobState) -> None:
    assert after(state, JobFailedReport(job_uuid=JOB)) is JobState.ENDED
    assert after(state, HORDE_FAILED) is JobState.ENDED


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        (JobState.ACCEPTED, Stage.EXECUTOR_STARTUP),
        (JobState.READY, Stage.EXECUTOR_STARTUP),
        (JobState.STARTED, Stage.VOLUME_DOWNLOAD),
        (JobState.VOLUMES, Stage.EXECUTION),
        (JobState.STREAMING, Stage.EXECUTION),
        (JobState.EXECUTED, Stage.RESULT_UPLOAD),
    ],
)
def test_a_cancelled_job_says_in_which_stage_it_was(state: JobState, stage: Stage) -> None:
    failure = cancelled(state)

    assert (failure.reason, failure.stage) == (JobFailureReason.CANCELLED, stage)
    assert failure.message == "The job was cancelled by its author."
