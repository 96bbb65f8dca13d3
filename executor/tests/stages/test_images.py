"""Images that are allowed and images that are not, from a real registry by the real daemon."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from compute_horde_common.clock import HandWoundClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import PullProgress
from compute_horde_common.jobs.failures import JobFailed, JobFailure, JobFailureReason, Stage
from compute_horde_common.transfer.errors import StorageFailed
from executor.config import ExecutorConfig
from executor.stages.images import bring_image
from tests.registry import LOGIN, Registry, registry
from tests.stand import IMAGE, Stand, offer

MIB = 1 << 20
CONFIG = ExecutorConfig(miner_address="ws://m", token="t", owner="o")


@pytest.fixture
async def shop(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[Registry]:
    async with registry(engine, tmp_path) as running:
        yield running


@pytest.fixture
async def locked_shop(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[Registry]:
    async with registry(engine, tmp_path, locked=True) as running:
        yield running


def logins(folder: Path, host: str, password: str = LOGIN.password) -> Path:
    file = folder / "config.json"
    word = base64.b64encode(f"{LOGIN.username}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {f"http://{host}/v2/": {"auth": word}}}))
    return file


async def bring(
    engine: DockerEngine,
    image: str,
    config: ExecutorConfig = CONFIG,
    told: list[PullProgress] | None = None,
) -> None:
    async with asyncio.timeout(30):
        tell = None if told is None else told.append
        await bring_image(engine, image, config, HandWoundClock(), tell)


async def refusal(engine: DockerEngine, image: str, config: ExecutorConfig = CONFIG) -> JobFailure:
    with pytest.raises(JobFailed) as caught:
        await bring(engine, image, config)
    assert isinstance(caught.value.failure, JobFailure)
    return caught.value.failure


async def test_an_image_is_pulled_from_its_registry(engine: DockerEngine, shop: Registry) -> None:
    image = await shop.push("team/app:1")

    await bring(engine, image)

    assert await engine.has_image(image)


async def test_an_image_that_no_registry_has_is_told(engine: DockerEngine, shop: Registry) -> None:
    failure = await refusal(engine, f"{shop.host}/team/none:1")

    assert failure.reason == JobFailureReason.DOWNLOAD_FAILED
    assert failure.stage == Stage.EXECUTOR_STARTUP
    assert failure.context == {"image": f"{shop.host}/team/none:1", "found": False}


async def test_progress_is_told_at_most_once_a_second(engine: DockerEngine, shop: Registry) -> None:
    image = await shop.push("team/large:1", os.urandom(12 * MIB))
    told: list[PullProgress] = []

    await bring(engine, image, told=told)

    assert len(told) == 1
    assert told[0].done <= told[0].total <= 13 * MIB


async def test_progress_goes_up_to_the_whole_image(engine: DockerEngine, shop: Registry) -> None:
    image = await shop.push("team/large:1", os.urandom(12 * MIB))
    told: list[PullProgress] = []

    async with asyncio.timeout(30):
        await engine.pull(image, watch=told.append)

    assert told == sorted(told, key=lambda each: (each.total, each.done))
    assert told[-1].done == told[-1].total > 12 * MIB


async def test_a_pull_that_is_too_large_is_ended(engine: DockerEngine, shop: Registry) -> None:
    image = await shop.push("team/large:1", os.urandom(12 * MIB))

    failure = await refusal(engine, image, replace(CONFIG, image_bytes=MIB))

    assert failure == JobFailure(
        reason=JobFailureReason.DOWNLOAD_FAILED,
        stage=Stage.EXECUTOR_STARTUP,
        message=(
            f"Image {image!r} cannot be had: it is larger than the {MIB} bytes that images may"
            " have here"
        ),
        context={"image": image, "found": True, "max_bytes": MIB},
    )
    assert not await engine.has_image(image)


async def test_a_private_image_comes_with_the_operator_s_login(
    engine: DockerEngine, locked_shop: Registry, tmp_path: Path
) -> None:
    image = await locked_shop.push("team/app:1")

    await bring(
        engine, image, replace(CONFIG, registry_credentials=logins(tmp_path, locked_shop.host))
    )

    assert await engine.has_image(image)


async def test_a_private_image_does_not_come_without(
    engine: DockerEngine, locked_shop: Registry
) -> None:
    failure = await refusal(engine, await locked_shop.push("team/app:1"))

    assert failure.reason == JobFailureReason.DOWNLOAD_FAILED
    assert "no basic auth credentials" in failure.message


async def test_a_wrong_password_is_told_and_not_shown(
    engine: DockerEngine, locked_shop: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = await locked_shop.push("team/app:1")
    file = logins(tmp_path, locked_shop.host, "wrong word")

    failure = await refusal(engine, image, replace(CONFIG, registry_credentials=file))

    shown = failure.model_dump_json() + "".join(capfd.readouterr())
    assert "unauthorized" in failure.message
    assert "wrong word" not in shown
    assert base64.b64encode(b"somebody:wrong word").decode() not in shown


async def test_a_login_is_never_sent_to_another_registry(
    engine: DockerEngine, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    async def lure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(
            b"HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n"
        )
        writer.close()

    async with await asyncio.start_server(lure, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = replace(CONFIG, registry_credentials=logins(tmp_path, "ghcr.io"))
        await refusal(engine, f"127.0.0.1:{port}/team/app:1", config)

    assert any(request.startswith(b"GET /v2/") for request in heard)
    assert not any(b"authorization" in request.lower() for request in heard)


async def test_a_file_of_logins_that_is_broken_is_the_host_s_fault(
    engine: DockerEngine, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{")
    config = replace(CONFIG, registry_credentials=tmp_path / "config.json")

    with pytest.raises(StorageFailed, match="REGISTRY_CREDENTIALS"):
        await bring(engine, f"compute-horde-none-{uuid4().hex}", config)


@pytest.mark.parametrize(
    "pattern",
    [
        "docker.io/library/compute-horde-executor-test:latest",
        "docker.io/library/compute-horde-executor-test",
        "docker.io/*",
        "library/compute-horde-*",
        "compute-horde-executor-test",
        "compute-horde-executor-test:*",
    ],
)
async def test_a_denied_image_is_refused_even_if_it_is_here(
    engine: DockerEngine, pattern: str
) -> None:
    config = replace(CONFIG, image_deny=("ghcr.io/*", pattern), image_allow=("*",))

    failure = await refusal(engine, IMAGE, config)

    assert failure == JobFailure(
        reason=JobFailureReason.DOWNLOAD_FAILED,
        stage=Stage.EXECUTOR_STARTUP,
        message=f"Image {IMAGE!r} cannot be had: this executor's operator denies it",
        context={"image": IMAGE, "denied": True},
    )


async def test_an_image_that_is_not_among_the_allowed_is_refused(engine: DockerEngine) -> None:
    failure = await refusal(engine, IMAGE, replace(CONFIG, image_allow=("ghcr.io/*",)))

    assert failure.message.endswith("it is not among those that this executor allows")


async def test_an_allowed_image_is_taken(engine: DockerEngine) -> None:
    await bring(
        engine, IMAGE, replace(CONFIG, image_allow=("compute-horde-*",), image_deny=("ghcr.io/*",))
    )


@pytest.mark.parametrize("image", ["ghcr.io/team/app", "team.io/app", "localhost/team/app"])
async def test_a_short_pattern_is_for_docker_hub_alone(engine: DockerEngine, image: str) -> None:
    failure = await refusal(engine, image, replace(CONFIG, image_allow=("team/*", "app")))

    assert failure.context == {"image": image, "denied": True}


async def test_an_image_s_id_is_no_way_around_the_policy(engine: DockerEngine) -> None:
    reply = await engine._api.call("GET", f"/images/{IMAGE}/json")
    found = reply.json
    assert isinstance(found, dict)
    short_id = str(found["Id"]).removeprefix("sha256:")[:12]
    assert await engine.has_image(short_id)

    failure = await refusal(engine, short_id, replace(CONFIG, image_deny=("*/ch-none*",)))

    assert failure.reason == JobFailureReason.DOWNLOAD_FAILED


async def test_tags_are_refused_where_digests_are_required(engine: DockerEngine) -> None:
    failure = await refusal(engine, IMAGE, replace(CONFIG, image_require_digest=True))

    assert failure.message.endswith(
        "this executor takes only images that are named by digest: name@sha256:..."
    )


async def test_an_image_is_pulled_by_its_digest(engine: DockerEngine, shop: Registry) -> None:
    image = await shop.push("team/app:1")
    await engine.pull(image)
    reply = await engine._api.call("GET", f"/images/{image}/json")
    found = reply.json
    assert isinstance(found, dict)
    assert isinstance(found["RepoDigests"], list)
    by_digest = str(found["RepoDigests"][0])
    await engine.remove_image(image)
    await engine.remove_image(by_digest)

    await bring(engine, by_digest, replace(CONFIG, image_require_digest=True))

    assert await engine.has_image(by_digest)
    await engine.remove_image(by_digest)


async def test_a_host_with_a_full_disk_pulls_nothing_more(
    engine: DockerEngine, shop: Registry
) -> None:
    image = await shop.push("team/large:1", os.urandom(2 * MIB))

    with pytest.raises(StorageFailed, match="needs 256"):
        await bring(engine, image, replace(CONFIG, work_dir=Path("/proc")))


async def test_a_job_whose_image_is_denied_hears_why(stand: Stand) -> None:
    stand.config = replace(stand.config, image_deny=("*",))

    (report,) = await stand.talk(offer())

    assert report.model_dump()["message"] == (
        f"Image {IMAGE!r} cannot be had: this executor's operator denies it"
    )
