"""What a job's follower is told, and where it comes from."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk._internal import push as pushing
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeEndEvent,
    ComputeHordeError,
    ComputeHordeJob,
    ComputeHordeJobEvent,
    ComputeHordeJobProgress,
    ComputeHordeLogEvent,
    ComputeHordeNoPushError,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
)
from tests.conftest import ASKING, BOTH_WAYS
from tests.facilitator import NOW, FakeFacilitator
from tests.winding import wound

PROGRESS = {"percent": 40.0, "text": "half way", "at": NOW.isoformat()}
TOLD = "GET /api/v1/jobs/{}/events/"
ASKED = "GET /api/v1/jobs/{}/"


def short(event: ComputeHordeJobEvent) -> str:
    match event:
        case ComputeHordeStatusEvent():
            return event.status.value
        case ComputeHordeLogEvent():
            return f"wrote {event.piece.text}"
        case ComputeHordeProgressEvent():
            return f"{event.progress.percent} %"
        case ComputeHordeEndEvent():
            return f"end: {event.status.value}"


async def all_events(job: ComputeHordeJob) -> list[str]:
    return [short(event) async for event in job.events()]


@BOTH_WAYS
async def test_all_that_happens_to_a_job_is_told_once(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "received", "accepted", "execution_done", "completed")
    known.to_write = ["a", "b", "c"]
    known.members["progress"] = PROGRESS
    job = await client.get_job(known.uuid)

    told = await wound(clock, all_events(job))

    statuses = ["sent", "received", "accepted", "execution_done", "completed"]
    written = ["wrote a", "wrote b", "wrote c"]
    assert sorted(told) == sorted([*statuses, *written, "40.0 %", "end: completed"])
    assert [each for each in told if each in statuses] == statuses
    assert [each for each in told if each.startswith("wrote")] == written
    assert told[-1] == "end: completed"


@BOTH_WAYS
async def test_a_job_is_up_to_date_as_of_each_event(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "received", "accepted", "completed")
    known.members["progress"] = PROGRESS
    job = await client.get_job(known.uuid)

    async def follow() -> None:
        async for event in job.events():
            if isinstance(event, ComputeHordeStatusEvent):
                assert event.entry in job.status_history
            if isinstance(event, ComputeHordeProgressEvent):
                assert job.progress == event.progress == ComputeHordeJobProgress(
                    40.0, "half way", NOW
                )  # fmt: skip

    await wound(clock, follow())
    assert job.result is not None
    assert [entry.status for entry in job.status_history] == [
        "sent", "received", "accepted", "completed",
    ]  # fmt: skip


@BOTH_WAYS
async def test_a_job_that_has_ended_is_told_from_its_beginning(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("failed")
    known.history = ["sent", "failed"]
    known.written = ["a", "b", "c"]
    job = await client.get_job(known.uuid)

    told = await wound(clock, all_events(job))

    assert told == ["wrote a", "wrote b", "wrote c", "sent", "failed", "end: failed"]


@ASKING
async def test_nothing_more_is_asked_of_a_job_that_has_ended(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("completed").uuid)

    await wound(clock, all_events(job))

    assert facilitator.calls == [
        ASKED.format(job.uuid),
        f"GET /api/v1/jobs/{job.uuid}/logs/",
    ]


async def test_a_job_that_is_told_of_takes_three_requests(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "received", "accepted", "execution_done", "completed")
    job = await client.get_job(known.uuid)

    await wound(clock, job.wait())

    assert facilitator.calls == [
        ASKED.format(job.uuid),
        TOLD.format(job.uuid),
        ASKED.format(job.uuid),
    ]
    assert facilitator.requests[-2].url.query == b"logs=false"
    assert job.result is not None


async def test_a_job_that_is_told_of_is_not_asked_for_meanwhile(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    waiting = asyncio.ensure_future(job.wait())
    for _ in range(200):
        await clock.advance(0.1)
    known.history.append("completed")

    await clock.advance(0.05)

    assert waiting.done()
    assert len(facilitator.calls) == 3


async def test_a_streaming_job_that_is_told_of_says_where_it_is(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "accepted", "streaming_ready")
    known.members = {"streaming_server_cert": "PEM", "streaming_server_address": "203.0.113.7"}
    job = await client.get_job(known.uuid)
    job.streaming_server_cert = None

    await wound(clock, job.wait_for_streaming(timeout=10))

    assert (job.streaming_server_cert, job.streaming_server_address) == ("PEM", "203.0.113.7")
    assert [stream.is_open for stream in facilitator.streams] == [False]


@BOTH_WAYS
async def test_progress_is_called_back(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job()
    job = await client.get_job(known.uuid)
    told: list[tuple[ComputeHordeJob, float, str]] = []

    async def callback(of: ComputeHordeJob, progress: ComputeHordeJobProgress) -> None:
        told.append((of, progress.percent, progress.text))

    waiting = asyncio.ensure_future(job.wait(progress_callback=callback))
    for percent in (10.0, 20.0):
        at = (NOW + timedelta(seconds=percent)).isoformat()
        known.members["progress"] = {"percent": percent, "text": "x", "at": at}
        for _ in range(10):
            await clock.advance(0.1)
    known.history.append("completed")
    await wound(clock, waiting_for(waiting))

    assert told == [(job, 10.0, "x"), (job, 20.0, "x")]


async def waiting_for(task: "asyncio.Future[None]") -> None:
    await task


NOT_PUSHED: dict[str, tuple[httpx.Response | Exception, bool]] = {
    "no such thing": (httpx.Response(404), True),
    "not to be got": (httpx.Response(405), True),
    "not acceptable": (httpx.Response(406), True),
    "something else": (httpx.Response(200, text="<html>"), True),
    "too many": (httpx.Response(429), False),
    "down": (httpx.Response(503), False),
    "refused": (httpx.ConnectError("refused"), False),
    "no answer": (httpx.ReadTimeout("slow"), False),
}


@pytest.mark.parametrize("kind", NOT_PUSHED)
async def test_a_facilitator_that_does_not_push_is_asked(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock, kind: str
) -> None:
    answer, lasting = NOT_PUSHED[kind]
    facilitator.push_trouble.extend([answer] * (4 if isinstance(answer, httpx.ConnectError) else 1))
    plan = ("sent", "received", "accepted", "completed")
    jobs = [await client.get_job(facilitator.add_job(*plan).uuid) for _ in range(2)]

    for job in jobs:
        await wound(clock, job.wait(timeout=60))

    assert [job.status for job in jobs] == ["completed", "completed"]
    assert facilitator.calls.count(TOLD.format(jobs[0].uuid)) >= 1
    assert (TOLD.format(jobs[1].uuid) not in facilitator.calls) == lasting


async def test_a_facilitator_that_did_not_push_is_tried_again_later(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    facilitator.push_trouble.append(httpx.Response(404))
    plan = ("sent", "received", "accepted", "completed")
    first, second = [await client.get_job(facilitator.add_job(*plan).uuid) for _ in range(2)]

    await wound(clock, first.wait())
    await clock.advance(601)
    await wound(clock, second.wait())

    assert TOLD.format(second.uuid) in facilitator.calls


CUTS: dict[str, Exception | None] = {
    "ended": None,
    "broke": httpx.ReadError("reset"),
    "broke off": httpx.RemoteProtocolError("incomplete"),
}


@pytest.mark.parametrize("kind", CUTS)
@pytest.mark.parametrize("after", [1, 4])
async def test_a_stream_that_breaks_goes_on_where_it_was(
    client: ComputeHordeClient,
    facilitator: FakeFacilitator,
    clock: HandWoundClock,
    kind: str,
    after: int,
) -> None:
    facilitator.cuts.extend([(after, CUTS[kind])] * 2)
    known = facilitator.add_job("sent", "received", "accepted", "executor_ready", "volumes_ready")
    known.later += ["execution_done", "completed"]
    known.to_write = ["a", "b", "c", "d"]
    job = await client.get_job(known.uuid)

    told = await wound(clock, all_events(job))

    assert [each for each in told if each.startswith("wrote")] == [
        "wrote a", "wrote b", "wrote c", "wrote d",
    ]  # fmt: skip
    assert [each for each in told if not each.startswith("wrote")] == [
        entry.status.value for entry in job.status_history
    ] + ["end: completed"]
    assert len(facilitator.streams) == 3
    assert facilitator.requests[-2].headers["Last-Event-ID"]
    assert not any(stream.is_open for stream in facilitator.streams)


async def test_after_three_streams_in_a_row_that_told_nothing_a_job_is_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    facilitator.cuts.extend([(0, httpx.ReadError("reset"))] * 9)
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)

    await wound(clock, job.wait(timeout=60))

    assert job.status == "completed"
    assert facilitator.calls.count(TOLD.format(job.uuid)) == 3


async def test_a_stream_that_falls_silent_is_left_and_the_job_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    facilitator.cuts.append((1, httpx.ReadTimeout("silent")))
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)

    await wound(clock, job.wait(timeout=60))

    told = next(each for each in facilitator.requests if each.url.path.endswith("/events/"))
    assert told.extensions["timeout"]["read"] == pushing.SILENCE_SECONDS == 45
    assert facilitator.calls.count(TOLD.format(job.uuid)) == 1
    assert [stream.is_open for stream in facilitator.streams] == [False]


async def test_events_that_are_held_back_on_their_way_are_not_waited_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "received", "accepted", "completed")
    facilitator.holds_back = True
    job = await client.get_job(known.uuid)
    began = clock.now()

    await wound(clock, job.wait())

    assert job.status == "completed"
    assert clock.now() - began < timedelta(seconds=7)
    assert [stream.is_open for stream in facilitator.streams] == [False]


@pytest.mark.parametrize(
    "frame",
    [
        "event: status\ndata: {}",
        "event: log\ndata: [",
        "event: progress\ndata: null",
        'event: status\ndata: {"status": "lost", "created_at": "2026-01-01T00:00:00Z"}',
        'event: end\ndata: "completed"',
    ],
)
async def test_after_an_event_that_makes_no_sense_a_job_is_asked_for(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock, frame: str
) -> None:
    facilitator.push_trouble.append(event_stream(f"{frame}\n\n"))
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)

    await wound(clock, job.wait())

    assert job.status == "completed"
    assert facilitator.calls.count(TOLD.format(job.uuid)) == 1


async def test_kinds_of_events_that_are_not_known_are_passed_over(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("completed")
    facilitator.push_trouble.append(
        event_stream('event: weather\ndata: rain\n\nevent: end\ndata: {"status": "completed"}\n\n')
    )
    job = await client.get_job(known.uuid)

    assert await wound(clock, all_events(job)) == ["completed", "end: completed"]


async def test_an_end_that_the_job_does_not_know_of_is_not_believed(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    known = facilitator.add_job("sent", "received", "accepted", "completed")
    facilitator.push_trouble.append(event_stream('event: end\ndata: {"status": "failed"}\n\n'))
    job = await client.get_job(known.uuid)

    await wound(clock, job.wait())

    assert job.status == "completed"


def event_stream(text: str) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=text)


async def test_a_token_that_has_expired_is_replaced(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)
    facilitator.refused_tokens.add("token-1")

    await wound(clock, job.wait())

    assert facilitator.calls == [
        ASKED.format(job.uuid),
        TOLD.format(job.uuid),
        TOLD.format(job.uuid),
        ASKED.format(job.uuid),
    ]


async def test_trouble_with_the_last_question_ends_the_wait(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "completed").uuid)
    job.status_history.pop()
    facilitator.trouble.append(httpx.Response(403))

    with pytest.raises(ComputeHordeAPIError):
        await wound(clock, job.wait())


@pytest.mark.parametrize("left", ["wait", "events", "logs"])
async def test_no_stream_stays_open_when_its_reader_leaves(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock, left: str
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    readers = {
        "wait": job.wait(),
        "events": all_events(job),
        "logs": waited(job),
    }
    reading = asyncio.ensure_future(readers.pop(left))
    for other in readers.values():
        other.close()
    await clock.advance(1)
    were_open = [stream.is_open for stream in facilitator.streams]

    reading.cancel()
    await asyncio.wait([reading])

    assert were_open == [True]
    assert [stream.is_open for stream in facilitator.streams] == [False]


async def waited(job: ComputeHordeJob) -> None:
    await job.logs(follow=True)


async def test_a_timeout_leaves_no_stream_open(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)

    with pytest.raises(TimeoutError):
        await wound(clock, job.wait(timeout=3))

    assert [stream.is_open for stream in facilitator.streams] == [False]
    assert facilitator.calls[-1] == ASKED.format(job.uuid)


async def test_many_waits_leave_connections_for_everything_else(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    jobs = [await client.get_job(facilitator.add_job().uuid) for _ in range(60)]
    waits = [asyncio.ensure_future(job.wait()) for job in jobs]
    await clock.advance(0)
    for _ in range(5):
        await clock.advance(0.5)

    most_open = sum(stream.is_open for stream in facilitator.streams)
    for known in facilitator.jobs.values():
        known.history.append("completed")
    await wound(clock, all_done(waits))

    assert most_open == pushing.MOST_STREAMS == 50
    assert {job.status for job in jobs} == {"completed"}


async def all_done(tasks: "list[asyncio.Future[None]]") -> None:
    await asyncio.wait(tasks)


@pytest.mark.parametrize("push", [False])
async def test_a_client_that_is_not_to_be_told_says_so(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    events = client.events(facilitator.add_job().uuid)

    with pytest.raises(ComputeHordeNoPushError, match="push=False") as told:
        await anext(events)

    assert isinstance(told.value, ComputeHordeError)
    assert facilitator.requests == []
