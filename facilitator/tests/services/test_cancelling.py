import threading
from collections.abc import Callable

import pytest
from django.db import connection

from compute_horde_common.contrib.django import outbox
from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.failures import JobFailure
from compute_horde_common.jobs.lifecycle import IllegalMove, JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from compute_horde_common.protocol.live import CancelJob
from compute_horde_common.protocol.rest import CheatReport
from facilitator.domain.refusals import Conflict, NotFound
from facilitator.models import Job, StatusChange, ValidatorConnection
from facilitator.services import cancelling, cheating, fleet, jobs
from tests.scene import ALICE, BOB, MALLORY, a_job, now

MAILBOX = fleet.mailbox_of(BOB.ss58)
CONTROL = fleet.control_mailbox_of(BOB.ss58)


def deliver(job: Job) -> None:
    assert [row.about for row in outbox.claim_due(MAILBOX, now(), 10, 1)] == [str(job.uuid)]


def a_running_job() -> Job:
    """A job that Bob, who knows job control, has received."""
    job = a_job()
    fleet.connect(BOB.ss58, "1", "2", now(), job_control=True)
    deliver(job)
    jobs.move(job.uuid, JobStatus.RECEIVED, now())
    return job


def cancel(job: Job, hotkey: str | None = ALICE.ss58) -> Job:
    return cancelling.cancel(job.uuid, hotkey, now())


def failure_of(job: Job) -> JobFailure | None:
    ending = StatusChange.objects.get(job=job, status="failed")
    return StatusMetadata.model_validate_json(ending.metadata).job_failure_details


def at_once(*actions: Callable[[], object]) -> list[str]:
    """What became of actions that start at the same moment, in their order."""
    ready = threading.Barrier(len(actions), timeout=10)
    results = [""] * len(actions)

    def act(place: int) -> None:
        ready.wait()
        try:
            actions[place]()
            results[place] = "done"
        except (Conflict, IllegalMove) as error:
            results[place] = type(error).__name__
        connection.close()

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db
def test_a_running_jobs_validator_is_told_to_cancel_it() -> None:
    job = a_running_job()

    after = cancel(job)

    message = CancelJob.model_validate_json(outbox.pending(CONTROL)[0].body)
    assert message.job_uuid == str(job.uuid)
    assert (after.status, after.cancel_requested_at is None) == ("received", False)


@pytest.mark.django_db
def test_asking_again_changes_nothing() -> None:
    job = a_running_job()

    first, second = cancel(job), cancel(job)

    assert first.cancel_requested_at == second.cancel_requested_at
    assert Outbox.objects.count() == 1


@pytest.mark.django_db
def test_the_cancellation_outlives_the_confirmation_of_the_job() -> None:
    job = a_job()
    fleet.connect(BOB.ss58, "1", "2", now(), job_control=True)
    deliver(job)
    cancel(job)

    jobs.move(job.uuid, JobStatus.RECEIVED, now())

    assert [row.recipient for row in Outbox.objects.all()] == [CONTROL]


@pytest.mark.django_db
@pytest.mark.parametrize("ending", ["completed", "failed", "rejected", "horde_failed"])
def test_the_cancellation_is_withdrawn_when_the_job_ends(ending: str) -> None:
    job = a_running_job()
    cancel(job)

    jobs.move(job.uuid, JobStatus(ending), now())

    assert not Outbox.objects.exists()


@pytest.mark.django_db
def test_a_job_that_nobody_has_yet_ends_at_once() -> None:
    job = a_job()

    after = cancel(job)

    assert (after.status, Outbox.objects.count()) == ("failed", 0)
    assert failure_of(job) == JobFailure(
        reason="cancelled",
        stage="unknown",
        message="The job was cancelled by its author before a validator had it.",
    )
    assert after.cancel_requested_at is not None


@pytest.mark.django_db
def test_a_report_about_a_delivered_job_does_not_make_it_undelivered() -> None:
    job, trusted = a_job(), a_job(on_trusted_miner=True)
    deliver(job)
    body = CheatReport(job_uuid=job.uuid, trusted_job_uuid=trusted.uuid)
    cheating.report(body, None, hotkey=ALICE.ss58, at=now())
    fleet.connect(BOB.ss58, "1", "2", now(), job_control=True)

    assert cancel(job).status == "sent"


@pytest.mark.django_db
def test_the_operator_may_cancel_any_job() -> None:
    job = a_job()

    after = cancel(job, None)

    failure = failure_of(job)
    assert failure is not None
    assert (after.status, "by the operator" in failure.message) == ("failed", True)


@pytest.mark.django_db
def test_a_cancelled_job_can_be_cancelled_again() -> None:
    job = a_job()
    cancel(job)

    assert cancel(job).status == "failed"
    assert StatusChange.objects.filter(job=job).count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("ending", ["completed", "failed", "rejected", "horde_failed"])
def test_a_job_that_ended_otherwise_cannot_be_cancelled(ending: str) -> None:
    job = a_running_job()
    jobs.move(job.uuid, JobStatus(ending), now())

    with pytest.raises(Conflict, match="ended"):
        cancel(job)

    assert Job.objects.get(uuid=job.uuid).cancel_requested_at is None


@pytest.mark.django_db
def test_a_validator_without_job_control_cannot_be_told() -> None:
    job = a_job()
    deliver(job)

    with pytest.raises(Conflict, match="does not understand"):
        cancel(job)

    assert Job.objects.get(uuid=job.uuid).cancel_requested_at is None


@pytest.mark.django_db
def test_a_validator_that_is_away_is_told_when_it_is_back() -> None:
    job = a_job()
    deliver(job)
    ValidatorConnection.objects.all().delete()

    cancel(job)

    assert len(outbox.pending(CONTROL)) == 1


@pytest.mark.django_db
def test_somebody_elses_job_is_not_found() -> None:
    with pytest.raises(NotFound):
        cancel(a_job(), MALLORY.ss58)


@pytest.mark.django_db(transaction=True)
def test_a_cancellation_and_an_end_at_the_same_moment_leave_one_end() -> None:
    job = a_running_job()

    results = at_once(lambda: cancel(job), lambda: jobs.move(job.uuid, JobStatus.COMPLETED, now()))

    assert results in (["done", "done"], ["Conflict", "done"])
    assert not Outbox.objects.exists()
    assert Job.objects.get(uuid=job.uuid).status == "completed"


@pytest.mark.django_db(transaction=True)
def test_a_job_is_either_delivered_or_ended_by_its_cancellation() -> None:
    job = a_job()
    fleet.connect(BOB.ss58, "1", "2", now(), job_control=True)
    claimed: list[Outbox] = []

    at_once(
        lambda: cancel(job),
        lambda: claimed.extend(outbox.claim_due(MAILBOX, now(), 10, 1)),
    )

    status = Job.objects.get(uuid=job.uuid).status
    assert (len(claimed), status) in {(0, "failed"), (1, "sent")}
