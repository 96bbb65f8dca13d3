"""A program that uses all of the SDK, rightly. It is not run; see `test_types.py`."""

# ruff: noqa: T201 - what it would do is of no account

import asyncio
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import httpx

from compute_horde_sdk.v1 import (
    AdaptiveSampling,
    Comparator,
    ComputeHordeAPIError,
    ComputeHordeCancelError,
    ComputeHordeClient,
    ComputeHordeEndEvent,
    ComputeHordeError,
    ComputeHordeHordeFailure,
    ComputeHordeJob,
    ComputeHordeJobEvent,
    ComputeHordeJobFailedError,
    ComputeHordeJobFailure,
    ComputeHordeJobFields,
    ComputeHordeJobLogs,
    ComputeHordeJobProgress,
    ComputeHordeJobRejection,
    ComputeHordeJobResult,
    ComputeHordeJobSpec,
    ComputeHordeJobStatus,
    ComputeHordeJobStatusEntry,
    ComputeHordeJobTimeoutError,
    ComputeHordeLogEvent,
    ComputeHordeLogPage,
    ComputeHordeLogPiece,
    ComputeHordeNoPushError,
    ComputeHordeNotFoundError,
    ComputeHordeProgressEvent,
    ComputeHordeStatusEvent,
    ComputeHordeStreamingKey,
    ComputeHordeSyncClient,
    ComputeHordeSyncJob,
    ComputeHordeValidationError,
    CrossValidation,
    Difference,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
    InputVolume,
    OutputVolume,
    Verdict,
    exact,
    jobs_needed,
    json_equal,
)
from compute_horde_sdk.v1.fallback import (
    FallbackClient,
    FallbackError,
    FallbackJob,
    FallbackJobResult,
    FallbackJobSpec,
    FallbackJobStatus,
    FallbackJobTimeoutError,
    FallbackMissingError,
    FallbackNotFoundError,
)
from compute_horde_sdk.v1.local import LocalClient, LocalSyncClient

VALIDATOR = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


class Key:
    """A hotkey."""

    ss58_address = VALIDATOR

    def sign(self, data: bytes) -> bytes:
        return bytes(64) + data[:0]


class Wallet:
    """A wallet."""

    hotkey = Key()


inputs: dict[str, InputVolume] = {
    "/volume/model/": HuggingfaceInputVolume(repo_id="me/model", allow_patterns=["*.json"]),
    "/volume/data.json": HTTPInputVolume(url="https://example.com/data.json"),
    "/volume/code": InlineInputVolume.from_directory("code", compress=False, exclude=[".git"]),
    "/volume/main": InlineInputVolume.from_path(Path("main.py")),
    "/volume/text": InlineInputVolume.from_file_contents("text.txt", b"text", compress=True),
}
outputs: dict[str, OutputVolume] = {
    "/output/a": HTTPOutputVolume(http_method="PUT", url="https://example.com/a"),
    "/output/b": HTTPOutputVolume(
        http_method="POST", url="https://example.com/b", form_fields={"key": "b"}
    ),
}
spec = ComputeHordeJobSpec(
    executor_class=ExecutorClass.always_on__llm__a6000,
    job_namespace="SN123.0",
    docker_image="me/image:latest",
    args=("main.py", "--block", "10000"),
    env={"A": "b"},
    artifacts_dir="/artifacts",
    input_volumes=inputs,
    output_volumes=outputs,
    streaming=True,
    streaming_start_time_limit_sec=10,
)
short = ComputeHordeJobSpec("always_on.test", "SN123.0", "me/image:latest", 1, 2, 3)
named: ComputeHordeJobFields = {
    "executor_class": "always_on.test",
    "job_namespace": "SN123.0",
    "docker_image": "me/image:latest",
}


async def run(client: ComputeHordeClient) -> None:
    """Creates jobs and waits for them."""
    await client.authenticate()
    job: ComputeHordeJob = await client.create_job(spec, True)
    job = await client.create_job(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN123.0",
        docker_image="me/image:latest",
        download_time_limit_sec=5,
        input_volumes=inputs,
    )
    job = await client.create_job(**named)
    job = await client.create_job(spec, run_cross_validation=True, trusted_output_volumes=outputs)
    trusted: ComputeHordeJob | None = job.trusted_job

    def entered(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
        at: datetime = entry.created_at
        status: ComputeHordeJobStatus = entry.status
        print(job.uuid, at, status, entry.metadata, trusted)

    async def moved(job: ComputeHordeJob, progress: ComputeHordeJobProgress) -> None:
        percent: float = progress.percent
        print(job.uuid, percent, progress.text, progress.at)

    await job.wait(10 * 60, entered, progress_callback=moved, raise_on_failure=True)
    job = await client.run_until_complete(
        short,
        job_attempt_callback=lambda attempt: print(attempt.uuid),
        timeout=60.0,
        max_attempts=5,
        status_callback=entered,
    )
    await look(client, job)


async def look(client: ComputeHordeClient, job: ComputeHordeJob) -> None:
    """Reads all that there is to know of jobs."""
    if job.status == "completed" and job.result is not None:
        result: ComputeHordeJobResult = job.result
        artifacts: dict[str, bytes] = result.artifacts
        uploaded = {path: answer.headers["etag"] for path, answer in result.upload_results.items()}
        print(result.stdout, result.stderr, artifacts, uploaded)
    ends: set[ComputeHordeJobStatus] = ComputeHordeJobStatus.end_states()
    facts: tuple[str | None, datetime | None, Mapping[str, str] | None, bool | None, int | None] = (
        job.docker_image,
        job.created_at,
        job.env,
        job.on_trusted_miner,
        job.exit_status,
    )
    failure = job.error
    if isinstance(failure, ComputeHordeJobFailure):
        print(failure.stage, failure.exit_status, failure.stderr)
    elif isinstance(failure, ComputeHordeHordeFailure):
        print(failure.reported_by, failure.context)
    elif isinstance(failure, ComputeHordeJobRejection):
        print(failure.rejected_by, ends, facts)
    async for each in client.iter_jobs(status=[ComputeHordeJobStatus.FAILED, "completed"]):
        await each.refresh()
        await each.refresh_from_facilitator()
    page: list[ComputeHordeJob] = await client.get_jobs(2, page_size=50, status="failed")
    logs: ComputeHordeLogPage = await client.get_log_page(page[0].uuid, 10)
    written: list[ComputeHordeLogPiece] = await job.logs(logs.next_offset)
    following: ComputeHordeJobLogs = job.logs(follow=True)
    async for piece in following:
        print(piece.stream, piece.text, len(written))
    async for event in job.events():
        tell(event)
    cancelled: bool = (await client.cancel_job(job.uuid)).cancelled
    await job.cancel()
    print(cancelled)


def tell(event: ComputeHordeJobEvent) -> str:
    """Every kind of event."""
    match event:
        case ComputeHordeStatusEvent():
            return event.status.value
        case ComputeHordeLogEvent():
            return event.piece.text
        case ComputeHordeProgressEvent():
            return event.progress.text
        case ComputeHordeEndEvent():
            return str(event.status)


async def stream(client: ComputeHordeClient, job: ComputeHordeJob) -> None:
    """Talks to a job."""
    await job.wait_for_streaming(timeout=60)
    key: ComputeHordeStreamingKey | None = job.streaming_key
    if key is not None:
        key.save("job.pem")
        job = await client.get_job(job.uuid, streaming_key=ComputeHordeStreamingKey.load("job.pem"))
        job.attach_streaming_key(key.to_pem())
    async with job.http_client(timeout=5) as http:
        answer: httpx.Response = await http.get("/health")
    context: ssl.SSLContext = job.ssl_context()
    print(answer, context, job.streaming_server_address, job.streaming_server_port)


async def check(client: ComputeHordeClient) -> None:
    """Compares with a trusted miner."""

    async def same_length(
        result: ComputeHordeJobResult, trusted: ComputeHordeJobResult
    ) -> Difference | None:
        if len(result.stdout) == len(trusted.stdout):
            return None
        return Difference("stdout", result.stdout, trusted.stdout)

    comparators: list[Comparator] = [
        exact(stderr=True),
        json_equal(where="/artifacts/a.json", rel_tol=1e-3),
        same_length,
        lambda result, trusted: result.stdout == trusted.stdout,
    ]
    sampling = AdaptiveSampling.from_json(AdaptiveSampling(first=0.1).to_json())
    for compare in comparators:
        found: CrossValidation[ComputeHordeJob] = await client.cross_validate(
            short, sample=sampling, compare=compare, report=False, timeout=60
        )
        if found.verdict is Verdict.MISMATCH and found.trusted_job is not None:
            details = {"sampled": found.sampled, "jobs": jobs_needed(sampling.rate, 0.1)}
            answer: str = await client.report_cheated_job(
                found.job.uuid, found.trusted_job.uuid, details=details
            )
            print(answer, found.difference)


async def fall_back(job_spec: ComputeHordeJobSpec) -> None:
    """The same on a rented machine."""
    async with FallbackClient("runpod", idle_minutes=5, api_key="key") as client:
        job: FallbackJob = await client.run_until_complete(
            FallbackJobSpec.from_job_spec(job_spec, region="US"), timeout=600
        )
        job = await client.create_job(FallbackJobSpec(run="echo hello", cpus="4+"))
        try:
            await job.wait(timeout=60)
        except FallbackJobTimeoutError as error:
            print(error.job_uuid)
        except (FallbackNotFoundError, FallbackMissingError):
            raise
        except FallbackError as error:
            raise ComputeHordeError from error
        status: FallbackJobStatus = job.status
        if isinstance(job.result, FallbackJobResult):
            print(status, job.result.artifacts)


def run_without_a_loop(client: ComputeHordeSyncClient) -> None:
    """The same calls, blocking."""
    job: ComputeHordeSyncJob = client.create_job(spec)
    job = client.create_job(**named)
    job.wait(timeout=60, status_callback=lambda job, entry: print(job.uuid, entry.status))
    for piece in job.logs(follow=True):
        print(piece.text)
    for event in job.events():
        tell(event)
    for each in client.iter_jobs("completed"):
        each.refresh()
    with job.http_client() as http:
        print(http.get("/health").text)
    found: CrossValidation[ComputeHordeSyncJob] = client.cross_validate(short, sample=0.5)
    print(found.job.result, client.get_job(job.uuid).exit_status)
    job.raise_for_status()


async def main() -> None:
    """All of it."""
    async with ComputeHordeClient(
        Key(),
        VALIDATOR,
        facilitator_url="https://example.com/api/v1/",
        request_timeout=5,
        push=False,
    ) as client:
        try:
            await run(client)
        except ComputeHordeValidationError as error:
            print(error.field, error.problem)
        except ComputeHordeJobFailedError as error:
            print(error.job.uuid, error.stage, error.exit_status, error.stdout, error.stderr)
        except ComputeHordeJobTimeoutError as error:
            print(error.job_uuid)
        except (ComputeHordeNotFoundError, ComputeHordeCancelError) as error:
            print(error.status_code, error.body)
        except ComputeHordeAPIError as error:
            reasons: Mapping[str, list[str]] = error.reasons
            print(reasons, error.detail)
        except ComputeHordeNoPushError:
            raise
        await stream(client, await client.get_job("7b522daa-e807-4094-8d96-99b9a863f960"))
        await check(client)
    async with LocalClient(gpu=False, max_parallel=2) as local:
        await run(local)
    await fall_back(spec)


with ComputeHordeSyncClient(Wallet(), VALIDATOR) as sync_client:
    run_without_a_loop(sync_client)
with LocalSyncClient(work_dir=Path("work")) as local_client:
    run_without_a_loop(local_client)
asyncio.run(main())
