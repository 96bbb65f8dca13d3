from collections.abc import Callable
from datetime import datetime, timedelta

from compute_horde_common.jobs.failures import HordeFailureReason
from compute_horde_common.jobs.lifecycle import ENDINGS
from compute_horde_common.jobs.spec import JobSpec, StreamingDetails
from compute_horde_common.jobs.timing import LEEWAY_SECONDS
from validator.domain.phases import REACHED, REPORT_SECONDS, TIMED_OUT, Budget, Phase


def budget(spec: JobSpec) -> Budget:
    return Budget.of(spec, reservation=7, startup=10)


def test_one_deadline_runs_through_the_phases_after_readiness(
    at: datetime, make_spec: Callable[..., JobSpec]
) -> None:
    terms = budget(make_spec())
    ready = at + timedelta(seconds=2)
    volumes = terms.after(terms.after(terms.start(at), at), ready)
    execution = terms.after(volumes, ready + timedelta(seconds=1))
    final = terms.after(execution, ready + timedelta(seconds=2))

    deadlines = [(one.deadline.at - ready).total_seconds() for one in (volumes, execution, final)]
    start = LEEWAY_SECONDS + REPORT_SECONDS
    assert deadlines == [start + 10, start + 30, start + 60]


def test_readiness_may_take_the_classes_spin_up_and_the_start(
    at: datetime, make_spec: Callable[..., JobSpec]
) -> None:
    terms = budget(make_spec(executor_class="spin_up-4min.gpu-24gb"))

    readiness = terms.after(terms.start(at), at)

    assert readiness.deadline.left(at) == 240 + 10


def test_only_a_job_that_streams_waits_for_streaming(
    at: datetime, make_spec: Callable[..., JobSpec]
) -> None:
    terms = budget(make_spec(streaming_details=StreamingDetails(public_key="pem")))
    volumes = terms.after(terms.after(terms.start(at), at), at)

    streaming = terms.after(volumes, at)

    assert (streaming.phase, streaming.deadline.left(at)) == (
        Phase.STREAMING,
        LEEWAY_SECONDS + REPORT_SECONDS + 10 + 40,
    )


def test_a_job_is_paid_for_download_execution_and_upload(
    make_spec: Callable[..., JobSpec],
) -> None:
    assert budget(make_spec()).paid == 60


def test_every_phase_has_a_reason_of_its_own() -> None:
    assert len(set(TIMED_OUT.values())) == len(Phase)
    assert HordeFailureReason.UNKNOWN not in TIMED_OUT.values()


def test_only_the_last_phase_ends_the_job() -> None:
    assert [phase for phase in Phase if REACHED[phase] in ENDINGS] == [Phase.FINAL]
