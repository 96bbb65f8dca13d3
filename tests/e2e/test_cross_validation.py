"""Jobs that are run a second time on the trusted miner, to see whether their miner is honest."""

import asyncio
import hashlib
import json

import psycopg
import pytest

from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    CrossValidation,
    Verdict,
    json_equal,
)
from tests.conftest import SECONDS, SpecMaker

pytestmark = pytest.mark.timeout(240)

OTHERWISE_EACH_TIME = "cat /proc/sys/kernel/random/uuid"


async def test_an_honest_miner_matches_the_trusted_one(
    client: ComputeHordeClient, spec: SpecMaker
) -> None:
    asked = spec(
        "sh",
        "-c",
        "echo '{\"loss\": 0.5}' | tee /artifacts/loss; date +%N >&2",
        artifacts_dir="/artifacts",
    )

    found = [
        await client.cross_validate(asked, sample=1, compare=compare, timeout=SECONDS)
        for compare in (None, json_equal(where="/artifacts/loss"))
    ]

    assert [(each.verdict, each.job.status, each.report) for each in found] == [
        (Verdict.MATCH, "completed", None)
    ] * 2


async def test_a_miner_whose_results_differ_is_reported_to_its_validator(
    client: ComputeHordeClient, spec: SpecMaker, state: NetworkState
) -> None:
    found = await client.cross_validate(
        spec("sh", "-c", OTHERWISE_EACH_TIME), sample=1, timeout=SECONDS
    )

    assert (found.verdict, found.report_error) == (Verdict.MISMATCH, None)
    assert found.report is not None
    assert found.trusted_job is not None
    assert found.evidence is not None
    assert [found.evidence["actual"], found.evidence["expected"]] == [
        {"stdout": _digest(found.job)},
        {"stdout": _digest(found.trusted_job)},
    ]
    assert await _told(state, found) == found.evidence


def _digest(job: ComputeHordeJob) -> str:
    return hashlib.sha256(job.result.stdout.encode() if job.result else b"").hexdigest()


async def _told(state: NetworkState, found: CrossValidation[ComputeHordeJob]) -> object:
    """The evidence that the validator has, once it has any."""
    query = "SELECT cheat_report FROM validator_job WHERE uuid = %s AND cheated"
    async with await psycopg.AsyncConnection.connect(
        state.validators[0].database_url, autocommit=True
    ) as database:
        async with asyncio.timeout(SECONDS):
            row = None
            while row is None:
                row = await (await database.execute(query, [found.job.uuid])).fetchone()
    report = json.loads(row[0])
    assert report["trusted_job_uuid"] == getattr(found.trusted_job, "uuid", None)
    return report["details"]
