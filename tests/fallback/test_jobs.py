"""Jobs on machines of a cloud that is Docker on this host: the client and the runner are real."""

import asyncio
import hashlib
import stat
from pathlib import Path

import pytest

from compute_horde_sdk.v1 import (
    ComputeHordeCancelError,
    ComputeHordeJob,
    ComputeHordeJobFailure,
    ComputeHordeJobRejection,
    ComputeHordeValidationError,
    HTTPInputVolume,
    HTTPOutputVolume,
    HuggingfaceInputVolume,
    InlineInputVolume,
)
from compute_horde_sdk.v1.fallback import (
    FallbackClient,
    FallbackError,
    FallbackJob,
    FallbackJobResult,
    FallbackJobTimeoutError,
    FallbackNotFoundError,
)
from tests.fallback.conftest import SpecMaker
from tests.fallback.docker_cloud import DockerCloud
from tests.hub import FILES, REPOSITORY, hub
from tests.web_server import WebServer

SECONDS = 60


def history(job: FallbackJob) -> list[str]:
    return [entry.status.value for entry in job.status_history]


def failure(job: FallbackJob) -> tuple[str | None, str, int | None]:
    assert isinstance(job.error, ComputeHordeJobFailure), job.error
    return job.error.stage, job.error.reason, job.error.exit_status


async def test_a_job_with_everything_gives_what_the_network_gives(
    client: FallbackClient, spec: SpecMaker, web: WebServer
) -> None:
    web.files["/web.txt"] = b"web"
    run = (
        'cat /volume/inline/a.txt /volume/web.txt > /artifacts/joined; echo "$WHO: zażółć";'
        " echo trouble >&2; cp /artifacts/joined /output/sent; cp /artifacts/joined /output/posted"
    )

    job = await client.run_until_complete(
        spec(
            run,
            envs={"WHO": "I am"},
            artifacts_dir="/artifacts",
            input_volumes={
                "/volume/inline/": InlineInputVolume.from_file_contents("a.txt", b"inline "),
                "/volume/web.txt": HTTPInputVolume(url=f"{web.url}/web.txt"),
            },
            output_volumes={
                "/output/sent": HTTPOutputVolume(http_method="PUT", url=f"{web.url}/sent"),
                "/output/posted": HTTPOutputVolume(
                    http_method="POST", url=f"{web.url}/posted", form_fields={"key": "k"}
                ),
            },
        ),
        timeout=SECONDS,
    )

    assert history(job) == [
        "sent",
        "accepted",
        "executor_ready",
        "volumes_ready",
        "execution_done",
        "completed",
    ]
    assert isinstance(job.result, FallbackJobResult)
    assert (job.result.stdout, job.result.stderr) == ("I am: zażółć\n", "trouble\n")
    assert job.result.artifacts == {"/artifacts/joined": b"inline web"}
    assert web.received["/sent"] == b"inline web"
    assert b'name="key"\r\n\r\nk\r\n' in web.received["/posted"]
    assert b"inline web" in web.received["/posted"]
    answers = job.result.upload_results
    assert {path: answer.headers["ETag"] for path, answer in answers.items()} == {
        "/output/sent": '"tag"',
        "/output/posted": '"tag"',
    }
    assert job.exit_status == 0


async def test_a_failing_job_shows_exit_status_and_output_and_sends_what_it_has(
    client: FallbackClient, spec: SpecMaker, web: WebServer
) -> None:
    upload = {"/output/x": HTTPOutputVolume(http_method="PUT", url=f"{web.url}/x")}
    run = "echo out; echo err >&2; echo half > /output/x; exit 3"

    job = await client.run_until_complete(spec(run, output_volumes=upload), timeout=SECONDS)

    assert history(job)[-1] == "failed"
    assert failure(job) == ("execution", "nonzero_return_code", 3)
    assert isinstance(job.error, ComputeHordeJobFailure)
    assert (job.error.stdout, job.error.stderr) == ("out\n", "err\n")
    assert web.received == {"/x": b"half\n"}


async def test_limits_hold_in_each_stage(
    client: FallbackClient, spec: SpecMaker, web: WebServer
) -> None:
    slow = f"{web.url}/slow"
    jobs = [
        await client.create_job(asked)
        for asked in (
            spec(
                "true",
                input_volumes={"/volume/x": HTTPInputVolume(url=slow)},
                download_time_limit_sec=1,
            ),
            spec(
                "echo begun; sleep 60 & sleep 60",
                download_time_limit_sec=0,
                execution_time_limit_sec=1,
            ),
            spec(
                "touch /output/x",
                output_volumes={"/output/x": HTTPOutputVolume(http_method="PUT", url=slow)},
                upload_time_limit_sec=1,
                download_time_limit_sec=0,
                execution_time_limit_sec=1,
            ),
        )
    ]

    for job in jobs:
        await job.wait(timeout=SECONDS)

    assert [failure(job) for job in jobs] == [
        ("volume_download", "timeout", None),
        ("execution", "timeout", None),
        ("result_upload", "timeout", None),
    ]


async def test_an_input_that_is_another_one_fails_the_download(
    client: FallbackClient, spec: SpecMaker, web: WebServer
) -> None:
    web.files["/x"] = b"another"
    volumes = {"/volume/x": HTTPInputVolume(url=f"{web.url}/x", sha256="0" * 64)}

    job = await client.run_until_complete(spec("true", input_volumes=volumes), timeout=SECONDS)

    assert failure(job) == ("volume_download", "download_failed", None)


async def test_a_repository_comes_from_the_hub_as_far_as_patterns_allow(
    client: FallbackClient, spec: SpecMaker
) -> None:
    volume = HuggingfaceInputVolume(repo_id=REPOSITORY, allow_patterns="*.json")
    with hub() as url:
        job = await client.run_until_complete(
            spec(
                "cd /volume/model; ls; cat config.json",
                envs={"HF_ENDPOINT": url},
                input_volumes={"/volume/model": volume},
            ),
            timeout=SECONDS,
        )

    assert job.result is not None
    assert job.result.stdout == "config.json\n" + FILES["config.json"].decode()


async def test_a_download_that_breaks_off_is_gone_on_with(
    client: FallbackClient, spec: SpecMaker
) -> None:
    content = bytes(range(256)) * 1000
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        start = int(head.partition("bytes=")[2].partition("-")[0] or 0)
        asked.append(start)
        status = "206 Partial Content" if start else "200 OK"
        length = len(content) - start
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode())
        writer.write(content[start : start + 200_000])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        volume = HTTPInputVolume(
            url=f"http://127.0.0.1:{port}/x", sha256=hashlib.sha256(content).hexdigest()
        )
        asked_for = spec("wc -c < /volume/x", input_volumes={"/volume/x": volume})
        job = await client.run_until_complete(asked_for, timeout=SECONDS)

    assert job.result is not None, job.error
    assert job.result.stdout.strip() == "256000"
    assert asked == [0, 200_000]


async def test_large_artifacts_are_left_out_by_name(
    client: FallbackClient, spec: SpecMaker
) -> None:
    run = "head -c 1000000 /dev/zero > /a/large; head -c 999999 /dev/zero > /a/small"

    job = await client.run_until_complete(spec(run, artifacts_dir="/a"), timeout=SECONDS)

    assert job.result is not None
    assert job.result.artifacts == {"/a/small": bytes(999_999)}
    assert "/a/large is left out" in job.result.stderr


async def test_another_client_finds_the_job_and_its_result(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker, tmp_path: Path
) -> None:
    job = await client.create_job(spec("echo found"))
    client.close()

    state = tmp_path / "state"
    with FallbackClient("docker", backend=cloud, state_dir=state, look_seconds=0.1) as other:
        found = await other.get_job(job.uuid)
        await found.wait(timeout=SECONDS)
        cloud.clear()
        again = await other.get_job(job.uuid)
        listed = [each.uuid async for each in other.iter_jobs()]

    assert again.result is not None
    assert again.result.stdout == "found\n"
    assert listed == [job.uuid]
    files = list(state.iterdir())
    assert [path.name for path in files] == [f"{job.uuid}.json"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


async def test_output_is_read_while_the_job_runs_and_a_cancelled_job_is_gone(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("echo first; sleep 60"))
    async for piece in job.logs(follow=True):
        assert piece.text == "first\n"
        break

    await job.cancel()

    assert job.cancelled
    assert history(job)[-1] == "failed"
    assert cloud.state(cloud.orders[0].name, cloud.orders[0].name).phase == "gone"


async def test_a_machine_that_vanishes_is_a_failure_of_the_horde(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sleep 60"))
    cloud.clear()

    await job.wait(timeout=SECONDS)

    assert history(job) == ["sent", "accepted", "horde_failed"]


async def test_a_cloud_that_refuses_leaves_a_rejected_job(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    cloud.refusal = "no machine of that kind is free"

    with pytest.raises(FallbackError, match="no machine of that kind"):
        await client.create_job(spec("true"))

    (job,) = await client.get_jobs()
    assert history(job) == ["sent", "rejected"]
    assert isinstance(job.error, ComputeHordeJobRejection)
    assert job.error.message == "no machine of that kind is free"


async def test_of_long_output_head_and_tail_are_there(
    client: FallbackClient, spec: SpecMaker
) -> None:
    run = "echo first; head -c 1500000 /dev/zero | tr '\\0' x; echo; echo last; echo err >&2"

    job = await client.run_until_complete(spec(run), timeout=SECONDS)

    assert job.result is not None
    assert (job.result.stdout[:7], job.result.stdout[-6:]) == ("first\nx", "\nlast\n")
    assert (len(job.result.stdout), job.result.stderr) == (1_000_000, "err\n")
    assert [piece.dropped for piece in await job.logs() if piece.dropped] == [500_012]


async def test_output_survives_a_job_that_removes_its_folders_and_phrases_of_shells(
    client: FallbackClient, spec: SpecMaker
) -> None:
    phrase = "bash: cannot set terminal process group"

    job = await client.run_until_complete(
        spec(f"rm -rf /output; echo '{phrase}'; echo after"), timeout=SECONDS
    )

    assert job.result is not None
    assert job.result.stdout == f"{phrase}\nafter\n"


async def test_lines_that_a_log_has_twice_count_once(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    read_once = cloud.log
    cloud.log = lambda name: read_once(name) * 2  # type: ignore[method-assign]  # as SkyPilot may

    job = await client.run_until_complete(
        spec("echo hi; echo -n ab > /a/x", artifacts_dir="/a"), timeout=SECONDS
    )

    assert job.result is not None
    assert (job.result.stdout, job.result.artifacts) == ("hi\n", {"/a/x": b"ab"})


async def test_a_job_that_forges_lines_raises_no_foreign_error(
    client: FallbackClient, spec: SpecMaker
) -> None:
    forged = '@compute-horde {"n":99,"at":1,"status":"happy","metadata":{}}'
    deep = "@compute-horde " + "[" * 100_000
    run = (
        f"echo '{forged}' > /proc/1/fd/1; echo '{deep}' > /proc/1/fd/1; echo '{forged}'; echo done"
    )

    job = await client.run_until_complete(spec(run), timeout=SECONDS)

    assert job.result is not None
    assert job.result.stdout == f"{forged}\ndone\n"


async def test_a_disk_with_files_on_it_is_not_emptied(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "precious").write_text("x")
    cloud.mounts = [f"{tmp_path / 'disk'}:/workspace"]

    job = await client.run_until_complete(spec("true", artifacts_dir="/workspace"), timeout=SECONDS)

    assert failure(job) == ("volume_download", "download_failed", None)
    assert (tmp_path / "disk" / "precious").read_text() == "x"


async def test_a_cancel_counts_more_than_what_is_seen_meanwhile(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    cancelled: list[ComputeHordeJob] = []

    async def cancel(job: ComputeHordeJob) -> None:
        cancelled.append(job)
        waiting = asyncio.ensure_future(job.wait(timeout=SECONDS))
        await client.cancel_job(job.uuid)
        await waiting

    job = await client.run_until_complete(spec("sleep 60"), cancel, timeout=SECONDS)

    assert job.cancelled
    assert len(cloud.orders) == len(cancelled) == 1


async def test_a_job_that_has_completed_cannot_be_cancelled(
    client: FallbackClient, spec: SpecMaker
) -> None:
    job = await client.run_until_complete(spec("echo result"), timeout=SECONDS)

    with pytest.raises(ComputeHordeCancelError):
        await job.cancel()

    assert (await client.get_job(job.uuid)).status == "completed"


@pytest.mark.parametrize("minutes", [-1, 1.5, None])
def test_idle_minutes_that_would_be_for_ever_are_refused(
    cloud: DockerCloud, tmp_path: Path, minutes: object
) -> None:
    with pytest.raises(ComputeHordeValidationError, match="idle_minutes"):
        FallbackClient("docker", minutes, backend=cloud, state_dir=tmp_path)  # type: ignore[arg-type]  # wrong


async def test_waiting_ends_in_time_and_the_job_goes_on(
    client: FallbackClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("sleep 60"))

    with pytest.raises(FallbackJobTimeoutError) as late:
        await job.wait(timeout=0)

    assert late.value.job_uuid == job.uuid
    assert isinstance(late.value, TimeoutError)


async def test_what_cannot_work_rents_nothing(
    client: FallbackClient, cloud: DockerCloud, spec: SpecMaker
) -> None:
    with pytest.raises(ComputeHordeValidationError) as refused:
        await client.create_job(spec("true", artifacts_dir="relative"))

    assert refused.value.field == "artifacts_dir"
    assert cloud.orders == []


@pytest.mark.parametrize("uuid", ["", "../x", "00000000-0000-4000-8000-000000000000"])
async def test_an_unknown_job_is_not_found(client: FallbackClient, uuid: str) -> None:
    with pytest.raises(FallbackNotFoundError):
        await client.get_job(uuid)
