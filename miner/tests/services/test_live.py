from datetime import datetime

import pytest
from structlog.testing import capture_logs

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import (
    LIVE_BYTES,
    MAX_PIECE_CHARACTERS,
    MAX_PIECES,
    JobLog,
    LogPiece,
)
from compute_horde_common.protocol.validator_miner import OfferJob
from miner.domain.progress import JobState
from miner.models import Job
from miner.services import jobs, live, messages
from tests import examples, fleet_of_rows
from tests.jobs_of_rows import finish, kinds, running, said, taken

pytestmark = pytest.mark.django_db


def full(offer: OfferJob, size: int = MAX_PIECE_CHARACTERS) -> JobLog:
    """The largest message of a job that writes letters of one byte, or pieces of a given size."""
    pieces = [LogPiece(number=0, stream="stdout", text="x" * size)] * MAX_PIECES
    return JobLog(job_uuid=offer.job_uuid, pieces=pieces)


def test_output_and_progress_are_said_in_order_with_everything_else(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)
    volumes, *_ = examples.run_of(offer)
    output, progress = examples.output(offer), examples.progress(offer, 50)

    live.relay(offer.job_uuid, output, at)
    jobs.say(offer.job_uuid, volumes, at)  # type: ignore[arg-type]  # a step
    live.relay(offer.job_uuid, progress, at)

    told = messages.news(offer.job_uuid, 2, None, at, live=True)
    assert told.texts == (encode(output), encode(volumes), encode(progress))
    assert Job.objects.get().state == JobState.VOLUMES


def test_whoever_does_not_understand_hears_everything_else(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    live.relay(offer.job_uuid, examples.output(offer), at)
    live.relay(offer.job_uuid, examples.progress(offer, 50), at)
    finish(offer, at)

    told = messages.news(offer.job_uuid, 2, None, at, live=False)

    assert told.texts == tuple(encode(message) for message in examples.run_of(offer))


def test_of_progress_the_latest_is_kept(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    for percent in (10, 20, 30):
        live.relay(offer.job_uuid, examples.progress(offer, percent), at)
    live.relay(offer.job_uuid, examples.output(offer), at)

    assert said(offer)[2:] == [
        ("JobProgress", encode(examples.progress(offer, 30))),
        ("JobLog", encode(examples.output(offer))),
    ]


def test_output_before_the_start_is_left_out(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)

    live.relay(offer.job_uuid, examples.output(offer), at)

    assert kinds(offer) == ["AcceptJob"]


def test_progress_of_an_image_on_its_way_is_kept(alice: Hotkey, at: datetime) -> None:
    fleet_of_rows.slots()
    offer = taken(alice, at)

    live.relay(offer.job_uuid, examples.progress(offer, 1), at)

    assert kinds(offer) == ["AcceptJob", "JobProgress"]


def test_what_comes_after_the_end_is_left_out(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    finish(offer, at)

    live.relay(offer.job_uuid, examples.output(offer), at)
    live.relay(offer.job_uuid, examples.progress(offer, 1), at)

    assert kinds(offer)[-1] == "JobFinished"


def test_output_is_bounded_and_that_is_said_once(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)

    with capture_logs() as logs:
        for _ in range(8):
            live.relay(offer.job_uuid, full(offer), at)

    assert kinds(offer).count("JobLog") == LIVE_BYTES // (MAX_PIECE_CHARACTERS * MAX_PIECES)
    assert [entry["event"] for entry in logs] == ["job writes more than is kept"]


def test_what_comes_beyond_the_bound_stays_out_even_if_it_is_small(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)
    for _ in range(5):
        live.relay(offer.job_uuid, full(offer), at)

    live.relay(offer.job_uuid, examples.output(offer, text="small"), at)

    assert kinds(offer).count("JobLog") == 4


def test_progress_is_told_when_output_is_not_any_more(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    for _ in range(5):
        live.relay(offer.job_uuid, full(offer), at)

    live.relay(offer.job_uuid, examples.progress(offer, 99), at)

    assert kinds(offer)[-1] == "JobProgress"


def test_pieces_are_bounded_too(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    Job.objects.update(live_pieces=live.MOST_PIECES - 1)

    live.relay(offer.job_uuid, JobLog(job_uuid=offer.job_uuid, pieces=[]), at)
    live.relay(offer.job_uuid, examples.output(offer), at)

    assert kinds(offer).count("JobLog") == 1


def test_a_job_may_write_exactly_as_much_as_is_kept(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    Job.objects.update(live_bytes=LIVE_BYTES - 2)

    live.relay(offer.job_uuid, examples.output(offer, text="ż"), at)
    live.relay(offer.job_uuid, examples.output(offer, text="x"), at)

    assert kinds(offer).count("JobLog") == 1
    assert said(offer)[-1] == ("JobLog", encode(examples.output(offer, text="ż")))


def test_what_is_kept_from_a_validator_is_not_looked_through_twice(
    alice: Hotkey, at: datetime
) -> None:
    offer, _token = running(alice, at)
    for number in range(20):
        live.relay(offer.job_uuid, examples.output(offer, number), at)

    told = messages.news(offer.job_uuid, 2, None, at, live=False)

    assert (told.texts, told.position) == ((), 22)


def test_a_long_story_is_told_in_parts_without_gaps(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    for number in range(20):
        live.relay(offer.job_uuid, examples.output(offer, number), at)

    first = messages.news(offer.job_uuid, 2, None, at, live=True)
    rest = messages.news(offer.job_uuid, first.position, None, at, live=True)

    assert list(first.texts + rest.texts) == [
        encode(examples.output(offer, number)) for number in range(20)
    ]


def test_output_is_counted_in_bytes(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)

    live.relay(offer.job_uuid, examples.output(offer, text="ż" * 100), at)

    assert Job.objects.get().live_bytes == 200


def test_output_is_forgotten_with_the_finished_receipt(alice: Hotkey, at: datetime) -> None:
    offer, _token = running(alice, at)
    live.relay(offer.job_uuid, examples.output(offer, text="a\0b"), at)

    jobs.close(examples.finished(offer, alice, at), validator=alice.ss58, at=at)

    assert kinds(offer) == []


def test_a_piece_of_output_costs_few_queries(
    alice: Hotkey, at: datetime, django_assert_num_queries: object
) -> None:
    offer, _token = running(alice, at)

    with django_assert_num_queries(5):  # type: ignore[operator]  # a savepoint's two among them
        live.relay(offer.job_uuid, examples.output(offer), at)
