"""A program whose marked lines are wrong. It is not run; see `test_types.py`."""

# mypy: ignore-errors
# ruff: noqa: T201, ARG005 - what it would do is of no account

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
    ComputeHordeSyncClient,
    ExecutorClass,
    HTTPOutputVolume,
    InlineInputVolume,
)

VALIDATOR = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


class Key:
    """A hotkey."""

    ss58_address = VALIDATOR

    def sign(self, data: bytes) -> bytes:
        return data


async def main(client: ComputeHordeClient, spec: ComputeHordeJobSpec, job: ComputeHordeJob) -> None:
    ComputeHordeClient("5FHneW46", VALIDATOR)  # error
    ComputeHordeClient(Key(), None)  # error
    ComputeHordeClient(Key(), VALIDATOR, facilitator="http://localhost")  # error
    ComputeHordeJobSpec(ExecutorClass.always_on__test, "SN123.0")  # error
    ComputeHordeJobSpec("always_on.test", "SN123.0", "image", args="main.py", env=["A=b"])  # error
    ComputeHordeJobSpec("always_on.test", "SN123.0", "image", execution_time_limit_sec="5")  # error
    ComputeHordeJobSpec("always_on.test", "SN123.0", "i", input_volumes={"/volume/a": b""})  # error
    HTTPOutputVolume(http_method="GET", url="https://example.com")  # error
    InlineInputVolume.from_file_contents("a.txt", "text")  # error
    await client.create_job()  # error
    await client.create_job("always_on.test")  # error
    await client.create_job(job_namespace="SN123.0", docker_image="image")  # error
    await client.create_job(spec, image="image")  # error
    await client.create_job(spec, run_cross_validation=1)  # error
    await client.get_jobs(page="1")  # error
    await client.run_until_complete(spec, job_attempt_callback=lambda: None)  # error
    await job.wait(timeout="5")  # error
    await job.wait(status_callback=lambda job: None)  # error
    job.status = job.status  # error
    print(job.result.stdout)  # error
    print(job.reslt)  # error
    for _ in job.logs():  # error
        pass
    for _ in client.iter_jobs():  # error
        pass
    with client:  # error
        pass


def blocking(client: ComputeHordeSyncClient, spec: ComputeHordeJobSpec) -> None:
    client.create_job(spec).result.stdout.upper()  # error
    client.create_job(spec, timeout=5)  # error
    _: ComputeHordeJob = client.get_job("7b522daa")  # error
