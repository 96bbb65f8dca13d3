from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from compute_horde_common.chain.keys import Hotkey, public_key_of, verify
from compute_horde_common.clock import SystemClock
from compute_horde_common.contrib.django import serving
from compute_horde_common.contrib.django.db import in_database
from compute_horde_common.contrib.django.doctor.findings import fail, ok, warn
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    AuthChallenge,
    Response,
)
from compute_horde_common.protocol.validator_miner import Manifest, UnauthorizedError
from validator.config import ValidatorConfig, config
from validator.links.office import Office
from validator.management.peers import (
    buckets_are_named,
    facilitator_lets_us_in,
    trusted_miner_serves_us,
)

BUCKETS = {
    "s3_bucket_name_prompts": "prompts",
    "s3_bucket_name_answers": "answers",
    "aws_access_key_id": "AKIA",
    "aws_secret_access_key": "secret",
}
DOWN = (
    "On that machine: is the miner up, and TCP port {port} open to this machine? Then check"
    " TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT in .env here."
)


def _with(**changes: object) -> ValidatorConfig:
    return config.model_copy(update=changes)


@pytest.fixture
def office(alice: Hotkey) -> Office:
    return Office(alice, public_key_of(alice.ss58), verify, SystemClock())


@asynccontextmanager
async def _says(
    *frames: BaseModel, after: int, first: BaseModel | None = None
) -> AsyncIterator[int]:
    """The port of a websocket server that hears so many frames, says these, and hangs up;
    before all that, it says the ``first``, as facilitators do."""

    async def talk(connection: ServerConnection) -> None:
        if first is not None:
            await connection.send(encode(first))
        for _ in range(after):
            await connection.recv()
        for frame in frames:
            await connection.send(encode(frame))

    spoken = [Subprotocol(CHALLENGE_FEATURE)] if first is not None else None
    async with serve(talk, "127.0.0.1", 0, subprotocols=spoken) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def test_a_validator_may_have_no_trusted_miner(office: Office) -> None:
    assert await trusted_miner_serves_us(_with(), office) == ok(
        "there is none: jobs that ask for a trusted miner are rejected"
    )


async def test_half_an_address_of_the_trusted_miner_is_told(office: Office) -> None:
    finding = await trusted_miner_serves_us(_with(trusted_miner_address="192.0.2.1"), office)

    assert finding == fail(
        "only one of TRUSTED_MINER_ADDRESS and TRUSTED_MINER_PORT is set",
        "Set both in .env, or none, and run `docker compose up --detach`.",
    )


def _trusted(port: int) -> ValidatorConfig:
    return _with(trusted_miner_address="127.0.0.1", trusted_miner_port=port)


async def test_a_trusted_miner_that_is_away_is_told(office: Office) -> None:
    finding = await trusted_miner_serves_us(_trusted(1), office)

    assert finding.found.startswith("cannot connect to ws://127.0.0.1:1/v0.1/validator_interface/")
    assert finding == fail(finding.found, DOWN.format(port=1))


async def test_a_trusted_miner_that_serves_us_is_told_with_its_offer(office: Office) -> None:
    async with _says(Manifest(manifest={"always_on.test": 2}), after=1) as port:
        finding = await trusted_miner_serves_us(_trusted(port), office)

    assert finding == ok(f"127.0.0.1 port {port} offers always_on.test: 2")


async def test_a_trusted_miner_without_executors_is_warned_of(office: Office) -> None:
    async with _says(Manifest(manifest={}), after=1) as port:
        finding = await trusted_miner_serves_us(_trusted(port), office)

    assert finding == warn(
        f"127.0.0.1 port {port} offers no executors", "Run doctor there; it says why."
    )


async def test_somebody_elses_trusted_miner_is_told(office: Office, alice: Hotkey) -> None:
    refusal = UnauthorizedError(code="UNKNOWN_VALIDATOR", details="not known here")
    async with _says(refusal, after=0) as port:
        finding = await trusted_miner_serves_us(_trusted(port), office)

    assert finding == fail(
        f"127.0.0.1 port {port} does not serve us: not known here",
        "The miner there must be a local one (IS_LOCAL_MINER=true), with"
        f" LOCAL_MINER_VALIDATOR_PUBLIC_KEY={alice.ss58}; the clocks must agree.",
    )


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({}, ok("none are set")),
        (BUCKETS, ok("prompts, answers")),
        (
            {"s3_bucket_name_prompts": "prompts", "aws_access_key_id": "AKIA"},
            warn(
                "S3_BUCKET_NAME_ANSWERS, AWS_SECRET_ACCESS_KEY not set, though others of the"
                " buckets' variables are",
                "Set all of them in .env, or none, and run `docker compose up --detach`.",
            ),
        ),
    ],
)
async def test_the_buckets_variables_belong_together(
    given: Mapping[str, str], finding: object
) -> None:
    assert await buckets_are_named(_with(**given)) == finding


async def test_a_facilitator_that_is_away_is_told(transactional_db: None, office: Office) -> None:
    url = "ws://127.0.0.1:1/ws/v0/"

    finding = await facilitator_lets_us_in(_with(facilitator_uri=url), office)

    assert finding.found.startswith(f"cannot connect to {url}: ")
    assert finding == fail(
        finding.found, "Check FACILITATOR_URI in .env, and this machine's way out."
    )


async def test_a_facilitator_that_does_not_want_us_is_told(
    transactional_db: None, office: Office, alice: Hotkey
) -> None:
    no = Response.model_validate(
        {"status": "error", "errors": [{"type": "auth.unknown", "msg": "who are you?"}]}
    )
    challenge = AuthChallenge(nonce="0" * 64)
    async with _says(no, after=1, first=challenge) as port:
        url = f"ws://127.0.0.1:{port}/ws/v0/"
        finding = await facilitator_lets_us_in(_with(facilitator_uri=url), office)

    assert finding == fail(
        f"{url} does not let us in: auth.unknown: who are you?",
        "It serves the validators with most stake. Its operator can let"
        f" {alice.ss58} in by `python -m django allow_validator`.",
    )


async def test_while_no_work_is_taken_the_facilitator_is_not_asked(
    transactional_db: None, office: Office
) -> None:
    await in_database(serving.switch_off)("drain", office.clock.now())

    finding = await facilitator_lets_us_in(_with(facilitator_uri="ws://127.0.0.1:1/"), office)

    assert finding == ok("ws://127.0.0.1:1/ is not asked while no new work is taken")
