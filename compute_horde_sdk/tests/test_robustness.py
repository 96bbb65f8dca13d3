"""What a facilitator, or its network, may do to a client without doing harm."""

import asyncio
import gc
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import httpx
import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk._internal.following import PATIENCE
from compute_horde_sdk._internal.sync.portal import Portal
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ComputeHordeError,
    ComputeHordeJobFailedError,
    ComputeHordeSyncClient,
    ComputeHordeValidationError,
)
from tests.conftest import ASKING, VALIDATOR, SpecMaker
from tests.facilitator import FakeFacilitator
from tests.winding import wound


@ASKING
async def test_a_facilitator_that_comes_back_ends_no_wait(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "received", "completed").uuid)
    facilitator.trouble.extend(httpx.Response(503) for _ in range(12))

    await wound(clock, job.wait())

    assert job.status == "completed"


@ASKING
async def test_a_facilitator_that_stays_away_is_told(
    client: ComputeHordeClient, facilitator: FakeFacilitator, clock: HandWoundClock
) -> None:
    job = await client.get_job(facilitator.add_job().uuid)
    facilitator.trouble.extend(httpx.ConnectError("gone") for _ in range(1000))
    began = clock.now()

    with pytest.raises(ComputeHordeError, match="ConnectError"):
        await wound(clock, job.wait())

    assert PATIENCE <= clock.now() - began < PATIENCE + timedelta(seconds=30)


async def test_an_answer_that_drips_is_not_waited_for(
    keypair: Keypair, clock: HandWoundClock
) -> None:
    class Drip(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError(request)

    client = ComputeHordeClient(keypair, VALIDATOR, clock=clock, transport=Drip())

    with pytest.raises(ComputeHordeError, match="ReadTimeout"):
        await wound(clock, client.authenticate())


@pytest.mark.parametrize("code", [301, 307])
async def test_another_host_is_told_nothing(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, code: int
) -> None:
    elsewhere = httpx.Response(code, headers={"Location": "http://elsewhere.test/x"})
    facilitator.trouble.append(elsewhere)

    with pytest.raises(ComputeHordeError, match=r"redirects to http://elsewhere\.test"):
        await client.create_job(spec(env={"SECRET": "x"}))

    assert {request.url.host for request in facilitator.requests} == {"facilitator"}


async def test_a_report_that_may_have_arrived_is_not_repeated(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    jobs = [facilitator.add_job("completed").uuid for _ in range(2)]
    facilitator.trouble.append(httpx.Response(502))

    with pytest.raises(ComputeHordeAPIError):
        await client.report_cheated_job(*jobs)

    assert facilitator.calls == ["POST /api/v1/cheated-job/"]


@pytest.mark.parametrize("attempts", ["1", 1.5, None])
async def test_attempts_are_counted_before_anything_is_paid(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker, attempts: object
) -> None:
    with pytest.raises(ComputeHordeValidationError, match="max_attempts"):
        await client.run_until_complete(spec(), max_attempts=attempts)  # type: ignore[arg-type]  # wrong

    assert facilitator.requests == []


async def test_no_secret_is_in_what_an_error_was_caused_by(
    client: ComputeHordeClient, facilitator: FakeFacilitator, spec: SpecMaker
) -> None:
    facilitator.trouble.append(httpx.Response(201, json={"uuid": {"env": "hunter2"}}))

    with pytest.raises(ComputeHordeError) as malformed:
        await client.create_job(spec())
    with pytest.raises(ComputeHordeError) as refused:
        await client.create_job(spec(env={"PASSWORD": b"hunter2"}))

    for error in (malformed.value, refused.value):
        assert "hunter2" not in f"{error} {error.__cause__}"


async def test_errors_travel_between_processes(
    client: ComputeHordeClient, facilitator: FakeFacilitator
) -> None:
    job = await client.get_job(facilitator.add_job("sent", "failed").uuid)
    failed = ComputeHordeJobFailedError(job)
    wrong = ComputeHordeValidationError("args", "must be a list")

    again, same = pickle.loads(pickle.dumps((failed, wrong)))  # noqa: S301 - our own

    assert (str(again), again.status, again.job_uuid) == (str(failed), "failed", job.uuid)
    assert (str(same), same.field) == ("args: must be a list", "args")


def raise_it() -> None:
    raise ComputeHordeValidationError("args", "must be a list")


def test_a_pool_of_processes_hands_errors_over() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        raised = pool.submit(raise_it).exception(timeout=30)

    assert isinstance(raised, ComputeHordeValidationError)


def test_each_event_loop_keeps_its_connections(
    facilitator: FakeFacilitator, keypair: Keypair
) -> None:
    client = ComputeHordeClient(
        keypair, VALIDATOR, facilitator_url="http://facilitator", transport=facilitator.transport
    )
    uuid = facilitator.add_job("completed").uuid
    loops = [asyncio.new_event_loop() for _ in range(2)]

    for _ in range(5):
        for loop in loops:
            loop.run_until_complete(client.get_job(uuid))

    assert len(client._facilitator._sessions) == 2
    for loop in loops:
        loop.close()


def test_a_client_that_is_dropped_takes_its_thread_along(
    facilitator: FakeFacilitator, keypair: Keypair
) -> None:
    client = ComputeHordeSyncClient(
        keypair, VALIDATOR, facilitator_url="http://facilitator", transport=facilitator.transport
    )
    client.authenticate()
    (thread,) = [each for each in threading.enumerate() if each.name == "compute-horde-sdk"]

    del client
    gc.collect()
    thread.join(timeout=10)

    assert not thread.is_alive()


def test_an_iterator_may_be_closed_while_the_portal_is_busy() -> None:
    portal = Portal()

    async def numbers():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1
        yield 2

    items = portal.iterate(numbers())
    assert next(items) == 1
    with portal._lock:
        items.close()  # type: ignore[attr-defined]  # a generator
    portal.close()


def test_an_iteration_that_is_interrupted_raises_what_interrupted_it() -> None:
    portal = Portal()
    begun = threading.Event()

    async def slow():  # type: ignore[no-untyped-def]  # noqa: ANN202
        try:
            begun.set()
            await asyncio.Event().wait()
            yield 1
        finally:
            await asyncio.sleep(0)

    raised: list[BaseException] = []

    def consume() -> None:
        try:
            next(portal.iterate(slow()))
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=consume)
    thread.start()
    begun.wait(10)
    portal.close()
    thread.join(10)

    assert [type(error) for error in raised] == [ComputeHordeError]
