"""Cancelling and reading output over REST, and streams of events from a server process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.jobs.lifecycle import JobStatus
from compute_horde_common.protocol.live import JobLog, JobProgress, LogPiece
from compute_horde_common.protocol.rest import JobView, LogPage
from facilitator.api.live import LOOK_SECONDS, MOST_STREAMS, Stream
from facilitator.domain.following import Cursor
from facilitator.models import Job
from facilitator.services import fleet, jobs, live
from tests.scene import ALICE, BOB, MALLORY, User, a_job, now

SOON = 10.0

Told = tuple[str, str, dict[str, object]]


def write(job: Job, *texts: str, start: int = 0) -> None:
    pieces = [
        LogPiece(number=number, stream="stdout", text=text)
        for number, text in enumerate(texts, start)
    ]
    live.record(JobLog(job_uuid=str(job.uuid), pieces=pieces), validator=BOB.ss58, at=now())


def say_progress(job: Job, percent: float, text: str) -> None:
    message = JobProgress(job_uuid=str(job.uuid), percent=percent, text=text)
    live.record(message, validator=BOB.ss58, at=now())


def move(job: Job, status: JobStatus) -> None:
    jobs.move(job.uuid, status, now())


def a_finished_job() -> Job:
    job = a_job()
    write(job, "one\n", "two\n")
    say_progress(job, 50, "half")
    move(job, JobStatus.COMPLETED)
    return job


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[str]:
    """The URL of a daphne process, which takes connections from its first moment."""
    name = connection.settings_dict["NAME"]
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "daphne", "--fd", str(descriptor)),
                "facilitator.asgi:application",
            ],
            env={
                **os.environ,
                "DATABASE_URL": database.geturl(),
                "ALLOWED_HOSTS": "*",
            },
            pass_fds=[descriptor],
        )
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    process.terminate()
    process.wait(SOON)


class Follower:
    """A client that reads a stream of events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Told:
        """The next event: its kind, id and data. It comes before the server looks by itself."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(LOOK_SECONDS - 1):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line and "event" in fields:
                    return fields["event"], fields["id"], json.loads(fields["data"])
        raise EOFError

    async def rest(self) -> list[Told]:
        """All events until the stream ends."""
        told: list[Told] = []
        try:
            while True:
                told.append(await self.next())
        except EOFError:
            return told


@asynccontextmanager
async def follow(
    server: str, job: Job, cursor: str = "", logs: str = "true", **headers: str
) -> AsyncIterator[Follower]:
    user = await in_database(User.allowed)()
    url = f"{server}/api/v1/jobs/{job.uuid}/events/"
    query = {"logs": logs, **({"cursor": cursor} if cursor else {})}
    async with (
        httpx.AsyncClient(headers={**user.headers, **headers}, timeout=SOON) as client,
        client.stream("GET", url, params=query) as response,
    ):
        yield Follower(response)


def kinds(told: list[Told]) -> list[str]:
    return [kind for kind, _, _ in told]


@pytest.mark.django_db
def test_a_cancelled_job_is_shown_with_the_time_of_the_request() -> None:
    job = a_job()
    move(job, JobStatus.RECEIVED)
    fleet.connect(BOB.ss58, "1", "2", now(), job_control=True)
    user = User.allowed()

    answers = [user.post(f"/api/v1/jobs/{job.uuid}/cancel/", {}) for _ in range(2)]

    shown = JobView.model_validate(answers[1].json())
    assert [answer.status_code for answer in answers] == [202, 202]
    assert (shown.status, shown.cancel_requested_at is None) == ("Received", False)


@pytest.mark.django_db
def test_cancelling_what_has_ended_as_cancelled_is_a_success() -> None:
    job, user = a_job(), User.allowed()

    answers = [user.post(f"/api/v1/jobs/{job.uuid}/cancel/", {}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["status"] == "Failed"


@pytest.mark.django_db
def test_cancelling_what_has_ended_otherwise_is_a_conflict() -> None:
    job = a_finished_job()

    answer = User.allowed().post(f"/api/v1/jobs/{job.uuid}/cancel/", {})

    assert (answer.status_code, list(answer.json())) == (409, ["detail"])
    assert "completed" in answer.json()["detail"].lower()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["cancel", "logs", "events"])
def test_somebody_elses_job_is_not_found(method: str) -> None:
    user, path = User.allowed(MALLORY), f"/api/v1/jobs/{a_job().uuid}/{method}/"

    answer = user.post(path, {}) if method == "cancel" else user.get(path)

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert Job.objects.get().status == "sent"


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["cancel", "logs", "events"])
def test_without_a_token_nothing_is_told(method: str) -> None:
    user, path = User(), f"/api/v1/jobs/{a_job().uuid}/{method}/"
    user.headers = {"Authorization": "Bearer x"}

    answer = user.post(path, {}) if method == "cancel" else user.get(path)

    assert answer.status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.django_db
def test_output_is_read_page_by_page() -> None:
    job, user = a_finished_job(), User.allowed()

    whole = user.get(f"/api/v1/jobs/{job.uuid}/logs/").json()
    rest = user.get(f"/api/v1/jobs/{job.uuid}/logs/", offset="1", limit="1").json()

    assert [piece["text"] for piece in whole["pieces"]] == ["one\n", "two\n"]
    assert rest == {"pieces": whole["pieces"][1:], "next_offset": 2, "ended": True}
    assert sorted(whole["pieces"][0]) == ["created_at", "dropped", "number", "stream", "text"]
    assert LogPage.model_validate(whole).ended


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("offset", "x"),
        ("offset", "-1"),
        ("offset", "1" * 5000),
        ("offset", str(1 << 63)),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", ""),
        ("offset", "\0"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    answer = User.allowed().get(f"/api/v1/jobs/{a_job().uuid}/logs/", **{name: value})

    assert (answer.status_code, list(answer.json())) == (400, [name])


@pytest.mark.django_db
def test_progress_is_shown_with_the_job() -> None:
    job, user = a_job(), User.allowed()
    before = user.get(f"/api/v1/jobs/{job.uuid}/").json()["progress"]

    say_progress(job, 42.5, "epoch 3")

    shown = user.get(f"/api/v1/jobs/{job.uuid}/").json()["progress"]
    assert (before, shown["percent"], shown["text"]) == (None, 42.5, "epoch 3")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", [{"cursor": "x"}, {"cursor": "1-2-" + "9" * 30}])
def test_a_cursor_that_is_none_is_refused(query: dict[str, str]) -> None:
    answer = User.allowed().get(f"/api/v1/jobs/{a_job().uuid}/events/", **query)

    assert (answer.status_code, list(answer.json())) == (400, ["cursor"])


@pytest.mark.django_db(transaction=True)
async def test_what_happens_to_a_job_is_told_as_it_happens(server: str) -> None:
    job = await in_database(a_job)()

    async with follow(server, job) as follower:
        told = [await follower.next()]
        await in_database(write)(job, "a\nb")
        told.append(await follower.next())
        await in_database(say_progress)(job, 40, "half way")
        told.append(await follower.next())
        await in_database(move)(job, JobStatus.COMPLETED)
        told += await follower.rest()

    assert kinds(told) == ["status", "log", "progress", "status", "end"]
    assert told[0][2]["status"] == "sent"
    assert (told[1][2]["number"], told[1][2]["text"]) == (0, "a\nb")
    assert (told[2][2]["percent"], told[2][2]["text"]) == (40.0, "half way")
    assert told[-1][2] == {"status": "completed"}
    assert follower.response.headers["content-type"].startswith("text/event-stream")
    assert follower.response.headers["cache-control"] == "no-store"
    assert follower.response.headers["x-accel-buffering"] == "no"


@pytest.mark.django_db(transaction=True)
async def test_a_stream_leaves_out_what_a_job_writes_if_asked_to(server: str) -> None:
    job = await in_database(a_job)()
    await in_database(write)(job, "a\nb")

    async with follow(server, job, logs="false") as follower:
        await in_database(move)(job, JobStatus.COMPLETED)
        told = await follower.rest()

    assert kinds(told) == ["status", "status", "end"]


@pytest.mark.django_db(transaction=True)
async def test_a_stream_goes_on_after_the_last_event_that_was_seen(server: str) -> None:
    job = await in_database(a_finished_job)()
    async with follow(server, job) as follower:
        whole = await follower.rest()
    seen = whole[1][1]

    async with follow(server, job, cursor=seen) as follower:
        by_query = await follower.rest()
    async with follow(server, job, **{"Last-Event-ID": seen}) as follower:
        by_header = await follower.rest()

    assert kinds(whole) == ["status", "log", "log", "progress", "status", "end"]
    assert by_query == by_header == whole[2:]


@pytest.mark.django_db(transaction=True)
async def test_a_long_output_is_told_whole_and_before_the_end(server: str) -> None:
    job = await in_database(a_job)()
    for start in range(0, 640, 64):
        await in_database(write)(job, *["line\n"] * 64, start=start)
    await in_database(move)(job, JobStatus.COMPLETED)

    async with follow(server, job) as follower:
        told = await follower.rest()

    assert kinds(told) == ["status", *["log"] * 640, "status", "end"]
    assert [data["number"] for kind, _, data in told if kind == "log"] == list(range(640))


@pytest.mark.django_db(transaction=True)
async def test_one_hotkey_has_so_many_streams_until_one_is_left(server: str) -> None:
    job = await in_database(a_job)()
    async with AsyncExitStack() as streams:
        followers = [
            await streams.enter_async_context(follow(server, job)) for _ in range(MOST_STREAMS)
        ]
        first = [await follower.next() for follower in followers]
        async with follow(server, job) as refused:
            status, headers = refused.response.status_code, refused.response.headers
        await followers[0].response.aclose()
        await until_let_in(server, job)

    assert kinds(first) == ["status"] * MOST_STREAMS
    assert (status, "retry-after" in headers) == (HTTPStatus.TOO_MANY_REQUESTS, True)


async def until_let_in(server: str, job: Job) -> None:
    """Returns once there is room for a stream: a server sees a moment later that one was left."""
    async with asyncio.timeout(SOON):
        while True:
            async with follow(server, job) as follower:
                if follower.response.status_code == HTTPStatus.OK:
                    return


@pytest.mark.django_db(transaction=True)
async def test_a_silent_stream_shows_that_it_lives_and_ends_after_an_hour() -> None:
    job, clock = await in_database(a_job)(), HandWoundClock(now())
    frames = Stream(job.uuid, ALICE.ss58, Cursor(statuses=1), clock).frames()
    greeting = await anext(frames)

    waiting = asyncio.ensure_future(anext(frames))
    await wind(clock, waiting)
    ending = asyncio.ensure_future(anext(frames, b"over"))
    await clock.advance(3600)
    await wind(clock, ending)

    assert (greeting, await waiting, await ending) == (
        b": hello\n\n",
        b": still here\n\n",
        b"over",
    )


async def wind(clock: HandWoundClock, waiting: asyncio.Future[bytes]) -> None:
    """Lets time pass until something came."""
    async with asyncio.timeout(SOON):
        while not waiting.done():
            await clock.advance(5)


@pytest.mark.django_db(transaction=True)
async def test_the_stream_of_a_job_that_was_deleted_ends() -> None:
    job, clock = await in_database(a_job)(), HandWoundClock(now())
    frames = Stream(job.uuid, ALICE.ss58, Cursor(), clock).frames()
    await anext(frames)
    await in_database(job.delete)()

    assert [frame async for frame in frames] == []
