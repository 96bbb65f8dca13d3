from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from compute_horde_common.chain.keys import Hotkey, verify
from compute_horde_common.contrib.django import outbox, serving
from compute_horde_common.jobs.failures import (
    HordeFailure,
    HordeFailureReason,
    Participant,
    Rejection,
    RejectionReason,
)
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.facilitator_validator import (
    CheatedJob,
    JobRequest,
    StatusMetadata,
    StatusUpdate,
)
from compute_horde_common.protocol.signatures import cheat_report_payload, signed
from tests.samples import MakeRequest
from validator.models import Job, StatusChange
from validator.services import jobs, subnet

pytestmark = pytest.mark.django_db
Take = Callable[[JobRequest], Any]
MakeReport = Callable[[str], CheatedJob]
FAILURE = HordeFailure(
    reported_by="miner", reason=HordeFailureReason.GENERIC_ERROR, message="it\0broke"
)


@pytest.fixture
def take(alice: Hotkey, bob: Hotkey, at: datetime) -> Take:
    subnet.allow(bob.ss58)

    def take_it(request: JobRequest) -> Any:  # noqa: ANN401 - a case, where one is expected
        return jobs.take(request, own=alice.ss58, verify=verify, at=at)

    return take_it


def said() -> list[StatusUpdate]:
    rows = outbox.pending(jobs.FACILITATOR)
    return [StatusUpdate.model_validate_json(row.body) for row in rows]


def statuses() -> list[JobStatus]:
    return [update.status for update in said()]


def test_a_good_request_is_received(take: Take, make_request: MakeRequest, bob: Hotkey) -> None:
    request = make_request(bob)

    case = take(request)

    assert (case.uuid, case.spec) == (request.uuid, request.spec())
    assert [(update.uuid, update.status) for update in said()] == [
        (request.uuid, JobStatus.RECEIVED)
    ]


def test_our_own_jobs_need_no_permission(
    take: Take, make_request: MakeRequest, alice: Hotkey
) -> None:
    assert take(make_request(alice)) is not None


def test_a_validator_that_takes_no_new_jobs_rejects_them_and_says_so(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    serving.switch_off("upgrade", at)

    assert take(make_request(bob)) is None
    (update,) = said()
    assert update.status is JobStatus.REJECTED
    assert update.metadata is not None
    assert update.metadata.job_rejection_details == Rejection(
        rejected_by=Participant.VALIDATOR, reason=RejectionReason.BUSY, message=jobs.NOT_SERVING
    )


def test_a_job_is_open_until_the_facilitator_knows_its_end(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    request = make_request(bob)
    take(request)
    serving.switch_off("upgrade", at)
    runs = jobs.still_open(at), jobs.link_is_needed(at), jobs.last_words()
    jobs.settle(request.uuid, FAILURE, at)
    ended = jobs.still_open(at), jobs.link_is_needed(at)
    last = jobs.last_words()
    outbox.withdraw(jobs.FACILITATOR, request.uuid)
    take(make_request(bob, timestamp_ns=2))

    assert runs == ([f"{request.uuid} received"], True, None)
    assert ended == ([f"{request.uuid} ended, not told to the facilitator yet"], True)
    assert last
    assert jobs.is_said(last)
    assert not jobs.is_said(last + 1)


def test_a_repeated_request_changes_nothing(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    request = make_request(bob)
    take(request)

    assert take(request) is None
    assert statuses() == [JobStatus.RECEIVED]


def test_a_stranger_is_rejected_without_being_received(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    subnet.disallow(bob.ss58)

    assert take(make_request(bob)) is None
    assert statuses() == [JobStatus.REJECTED]
    assert "invalid_signature" in StatusChange.objects.get().metadata


def test_an_unsigned_request_is_rejected(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    take(make_request(bob).model_copy(update={"signature": None}))

    assert statuses() == [JobStatus.REJECTED]


def test_a_signature_makes_one_job_only(take: Take, make_request: MakeRequest, bob: Hotkey) -> None:
    request = make_request(bob)
    take(request)
    take(request.model_copy(update={"uuid": str(uuid4())}))

    assert statuses() == [JobStatus.RECEIVED, JobStatus.REJECTED]


def test_a_forged_repetition_does_not_touch_the_job(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    request = make_request(bob)
    take(request)
    take(request.model_copy(update={"args": ["evil"], "signature": None}))

    assert Job.objects.get().status == JobStatus.RECEIVED


def test_a_request_whose_uuid_is_none_cannot_be_answered(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    with pytest.raises(ValueError, match="UUID"):
        take(make_request(bob, "nonsense"))


def test_a_namespace_with_a_nul_is_stored_without_it(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    take(make_request(bob).model_copy(update={"job_namespace": "a\0b"}))

    assert Job.objects.get().namespace == "ab"


def test_a_status_is_reached_once_and_never_left_backwards(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    case = take(make_request(bob))

    moves = [JobStatus.VOLUMES_READY, JobStatus.VOLUMES_READY, JobStatus.ACCEPTED]
    assert [jobs.move(case.uuid, to, at) for to in moves] == [True, False, False]
    assert statuses() == [JobStatus.RECEIVED, JobStatus.VOLUMES_READY]


def test_a_job_ends_once(take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime) -> None:
    case = take(make_request(bob))

    assert [jobs.settle(case.uuid, FAILURE, at), jobs.settle(case.uuid, FAILURE, at)] == [
        True,
        False,
    ]
    assert (statuses()[-1], jobs.unfinished()) == (JobStatus.HORDE_FAILED, [])


def test_a_failure_is_kept_with_its_words(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    case = take(make_request(bob))
    jobs.settle(case.uuid, FAILURE, at)

    assert said()[-1].metadata == StatusMetadata(horde_failure_details=FAILURE)
    assert "generic_error" in StatusChange.objects.get(status="horde_failed").metadata


def test_unfinished_jobs_are_listed_oldest_first(
    alice: Hotkey, make_request: MakeRequest, at: datetime
) -> None:
    requests = [make_request(alice, timestamp_ns=number) for number in range(3)]
    for number, one in enumerate(requests):
        jobs.take(one, own=alice.ss58, verify=verify, at=at - timedelta(seconds=number))

    assert jobs.unfinished() == [one.uuid for one in reversed(requests)]


def test_a_job_can_be_read_again_as_it_was_taken(
    take: Take, make_request: MakeRequest, bob: Hotkey
) -> None:
    request = make_request(bob, volumes=[{"volume_type": "inline", "contents": "eA=="}])
    case = take(request)

    assert jobs.case_of(request.uuid) == case


def test_the_wish_to_cancel_is_noted_once_and_read_with_the_job(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    case = take(make_request(bob))
    noted = [jobs.request_cancel(case.uuid, at + timedelta(seconds=late)) for late in (1, 2)]

    assert noted == [True, True]
    assert Job.objects.get().cancel_requested_at == at + timedelta(seconds=1)
    assert jobs.case_of(case.uuid) == replace(case, cancelled=True)


def test_a_job_that_has_ended_cannot_be_cancelled(
    take: Take, make_request: MakeRequest, bob: Hotkey, at: datetime
) -> None:
    case = take(make_request(bob))
    jobs.settle(case.uuid, FAILURE, at)

    assert not jobs.request_cancel(case.uuid, at)
    assert Job.objects.get().cancel_requested_at is None


def test_a_job_that_nobody_knows_cannot_be_cancelled(db: None, at: datetime) -> None:
    assert not jobs.request_cancel(str(uuid4()), at)


@pytest.fixture
def report(bob: Hotkey) -> MakeReport:
    def make(job_uuid: str) -> CheatedJob:
        payload = cheat_report_payload(job_uuid, "other", None)
        signature = signed(payload, bob, timestamp_ns=1, scope="FullRequest")
        return CheatedJob(job_uuid=job_uuid, trusted_job_uuid="other", signature=signature)

    return make


def test_a_completed_job_is_marked_as_cheated_once(
    take: Take,
    make_request: MakeRequest,
    alice: Hotkey,
    bob: Hotkey,
    at: datetime,
    report: MakeReport,
) -> None:
    case = take(make_request(bob))
    jobs.move(case.uuid, JobStatus.COMPLETED, at)

    marks = [jobs.mark_cheated(report(case.uuid), own=alice.ss58, verify=verify) for _ in "12"]
    assert marks == [True, False]


def test_a_job_that_did_not_complete_is_not_marked(
    take: Take, make_request: MakeRequest, alice: Hotkey, bob: Hotkey, report: MakeReport
) -> None:
    case = take(make_request(bob))

    assert not jobs.mark_cheated(report(case.uuid), own=alice.ss58, verify=verify)
