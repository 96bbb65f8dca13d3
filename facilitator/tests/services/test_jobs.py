import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from compute_horde_common.contrib.django.models import Outbox
from compute_horde_common.jobs.lifecycle import IllegalMove, JobStatus
from compute_horde_common.protocol.facilitator_validator import StatusMetadata
from facilitator.domain.refusals import JobUnknown
from facilitator.domain.submissions import MINERS_TRIED_SECONDS
from facilitator.models import Job, StatusChange
from facilitator.services import jobs
from tests.scene import ANSWER_LIMIT, BOB, MALLORY, a_job, a_submission, connect_bob, now

ANSWER = timedelta(seconds=ANSWER_LIMIT)


@pytest.mark.django_db(transaction=True)
def test_two_simultaneous_submissions_make_one_job() -> None:
    connect_bob()
    wanted, at = a_submission(), now()
    made: list[UUID] = []
    ready = threading.Barrier(2, timeout=10)

    def submit() -> None:
        ready.wait()
        made.append(jobs.submit(wanted, answer_limit=ANSWER_LIMIT, at=at).uuid)
        connection.close()

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(made), len(set(made)), Job.objects.count()) == (2, 1, 1)
    assert Outbox.objects.count() == 1


@pytest.mark.django_db
def test_a_status_withdraws_the_message_to_the_validator() -> None:
    job = a_job()

    jobs.move(job.uuid, JobStatus.RECEIVED, now(), validator=BOB.ss58)

    assert Outbox.objects.count() == 0


@pytest.mark.django_db
def test_only_the_jobs_own_validator_may_move_it() -> None:
    job = a_job()

    with pytest.raises(JobUnknown):
        jobs.move(job.uuid, JobStatus.RECEIVED, now(), validator=MALLORY.ss58)


@pytest.mark.django_db
def test_a_job_does_not_go_backwards() -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.ACCEPTED, now())

    with pytest.raises(IllegalMove):
        jobs.move(job.uuid, JobStatus.RECEIVED, now())


@pytest.mark.django_db
def test_a_job_that_nobody_receives_fails_after_the_answer_limit() -> None:
    at = now()
    job = a_job(at)

    before = jobs.end_overdue(at + ANSWER - timedelta(seconds=1))
    after = jobs.end_overdue(at + ANSWER)

    told = StatusMetadata.model_validate_json(StatusChange.objects.latest("id").metadata)
    assert (before, after) == (0, 1)
    assert told.horde_failure_details is not None
    assert (told.horde_failure_details.reason, told.horde_failure_details.reported_by) == (
        "unhandled_timeout",
        "facilitator",
    )
    assert (Job.objects.get(uuid=job.uuid).status, Outbox.objects.count()) == ("horde_failed", 0)


@pytest.mark.django_db
def test_a_job_that_was_received_gets_time_to_run() -> None:
    at = now()
    job = a_job(at)
    jobs.move(job.uuid, JobStatus.RECEIVED, at)
    allowance = timedelta(seconds=MINERS_TRIED_SECONDS + 7 + 3 + 5 + 45)

    early = jobs.end_overdue(at + allowance - timedelta(seconds=1))
    late = jobs.end_overdue(at + allowance)

    assert (early, late) == (0, 1)


@pytest.mark.django_db
def test_a_job_that_ended_is_never_overdue() -> None:
    job = a_job()
    jobs.move(job.uuid, JobStatus.COMPLETED, now())

    assert jobs.end_overdue(now() + timedelta(days=5)) == 0


@pytest.mark.django_db
def test_old_jobs_are_evicted_once_they_ended() -> None:
    at = now()
    ended, open_ = a_job(at), a_job(at)
    jobs.move(ended.uuid, JobStatus.COMPLETED, at)

    evicted = jobs.evict(at + timedelta(days=8), 7)

    assert (evicted, Job.objects.get().uuid) == (1, open_.uuid)
