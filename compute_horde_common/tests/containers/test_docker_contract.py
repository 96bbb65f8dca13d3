"""What `ContainerEngine` promises, kept by a real Docker daemon."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.docker_config import container_config
from compute_horde_common.containers.interface import (
    MIB,
    ContainerFailedToStart,
    ContainerSpec,
    EngineError,
    EngineUnavailable,
    Exit,
    ImageNotFound,
    Limits,
    Logs,
    Mount,
    NameTaken,
    NoSuchContainer,
    PullFailed,
    Stream,
)
from compute_horde_common.containers.scratch_image import BusyboxMissing, build_busybox_image
from tests.containers.shells import IMAGE, LIMITS, OWNER, PATIENCE, shell


async def run(engine: DockerEngine, spec: ContainerSpec) -> tuple[Exit, Logs]:
    async with asyncio.timeout(PATIENCE):
        container = await engine.create(spec)
        await engine.start(container)
        ended = await engine.wait(container)
        return ended, await engine.logs(container, head_bytes=10_000, tail_bytes=10_000)


async def test_a_program_runs_and_its_streams_come_apart(engine: DockerEngine) -> None:
    assert await run(engine, shell("echo out; echo err >&2; exit 3")) == (
        Exit(3, oom_killed=False),
        Logs("out\n", "err\n"),
    )


async def test_environment_mounts_and_directory_arrive(
    engine: DockerEngine, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("input")
    spec = replace(
        shell('cat /volume/in; echo "$WHO" > /output/out; pwd; echo x > /volume/in'),
        env={"WHO": "me"},
        mounts=(
            Mount(str(tmp_path), "/volume", read_only=True),
            Mount(str(tmp_path), "/output"),
        ),
        working_dir="/etc",
    )

    ended, logs = await run(engine, spec)

    assert ended.code == 1
    assert logs.stdout == "input/etc\n"
    assert "Read-only" in logs.stderr
    assert (tmp_path / "out").read_text() == "me\n"


async def test_a_mount_that_does_not_exist_is_refused(engine: DockerEngine) -> None:
    spec = replace(shell("true"), mounts=(Mount("/no/such/folder", "/volume"),))

    with pytest.raises(EngineError, match="no/such/folder"):
        await engine.create(spec)


async def test_a_container_is_closed_by_default(engine: DockerEngine) -> None:
    script = "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; ls /sys/class/net; ulimit -c"

    _, logs = await run(engine, shell(script))

    assert logs.stdout.split() == [
        *("CapEff:", "0" * 16),
        *("CapBnd:", "0" * 16),
        *("NoNewPrivs:", "1"),
        "lo",
        "0",
    ]


def test_the_limits_are_given_to_docker() -> None:
    limits = Limits(memory_bytes=5, cpus=0.5, pids=7, shm_bytes=8, log_bytes=10, fsize_bytes=11)

    config = container_config(replace(shell("true"), limits=limits, gpus=("0", "1")))

    host = cast("dict[str, object]", config["HostConfig"])
    assert (
        host
        | {
            "NetworkMode": "none",
            "Memory": 5,
            "MemorySwap": 5,
            "CpuQuota": 50_000,
            "PidsLimit": 7,
            "ShmSize": 8,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "5", "max-file": "2"}},
            "DeviceRequests": [{"DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}],
        }
        == host
    )


async def test_too_much_memory_is_told_from_other_kills(engine: DockerEngine) -> None:
    greedy = replace(shell(""), command=("dd", "if=/dev/zero", "of=/dev/null", "bs=256M"))

    ended, _ = await run(engine, greedy)

    assert ended == Exit(137, oom_killed=True)


async def test_a_fork_bomb_stays_within_its_processes(engine: DockerEngine) -> None:
    _, logs = await run(engine, shell("for i in $(seq 200); do sleep 5 & done; echo over"))

    assert "can't fork" in logs.stderr


async def test_the_size_of_files_can_be_limited(engine: DockerEngine) -> None:
    spec = replace(
        shell("dd if=/dev/zero of=/big bs=1M count=2"), limits=replace(LIMITS, fsize_bytes=MIB)
    )

    ended, _ = await run(engine, spec)

    assert ended.code != 0


@pytest.mark.parametrize("program", ["no-such-program", "/etc/passwd"])
async def test_a_program_that_cannot_run_says_so(engine: DockerEngine, program: str) -> None:
    container = await engine.create(replace(shell(""), command=(program,)))

    with pytest.raises(ContainerFailedToStart, match=program):
        await engine.start(container)


async def test_more_cpus_than_the_host_has_are_no_error(engine: DockerEngine) -> None:
    spec = replace(shell("true"), limits=replace(LIMITS, cpus=1000))

    assert (await run(engine, spec))[0].code == 0


async def test_a_long_output_is_shortened_in_the_middle(engine: DockerEngine) -> None:
    container = await engine.create(shell("echo start; yes | head -c 200000; echo end"))
    await engine.start(container)
    await engine.wait(container)

    logs = await engine.logs(container, head_bytes=1000, tail_bytes=1000)

    assert logs.stdout.startswith("start\ny\n")
    assert logs.stdout.endswith("y\nend\n")
    assert "198010 bytes cut" in logs.stdout


async def test_output_can_be_followed_while_it_comes(engine: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "stay").touch()
    spec = replace(
        shell("echo first; while [ -e /job/stay ]; do usleep 10000; done; echo last >&2"),
        mounts=(Mount(str(tmp_path), "/job"),),
    )
    container = await engine.create(spec)
    await engine.start(container)
    seen = []

    async with asyncio.timeout(PATIENCE):
        async for output in engine.follow(container):
            seen.append((output.stream, output.data))
            (tmp_path / "stay").unlink(missing_ok=True)

    assert seen == [(Stream.STDOUT, b"first\n"), (Stream.STDERR, b"last\n")]


async def test_waiting_can_be_cancelled_and_begun_again(engine: DockerEngine) -> None:
    container = await engine.create(shell("sleep 100"))
    await engine.start(container)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await engine.wait(container)

    await engine.kill(container)

    assert await engine.wait(container) == Exit(137, oom_killed=False)


async def test_stopping_lets_a_program_say_goodbye(engine: DockerEngine) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do usleep 10000; done"
    container = await engine.create(shell(script))
    await engine.start(container)
    await anext(aiter(engine.follow(container)))

    await engine.stop(container, grace=10)

    assert await engine.wait(container) == Exit(0, oom_killed=False)


async def test_stopping_kills_what_does_not_listen(engine: DockerEngine) -> None:
    container = await engine.create(shell("sleep 100"))
    await engine.start(container)

    await engine.stop(container, grace=0)

    assert (await engine.wait(container)).code == 137


async def test_removing_is_idempotent_and_kills(engine: DockerEngine) -> None:
    container = await engine.create(shell("sleep 100"))
    await engine.start(container)

    await engine.remove(container)
    await engine.remove(container)
    await engine.kill(container)
    await engine.stop(container, grace=0)

    assert await engine.owned(OWNER) == []


async def test_two_may_remove_the_same_container_at_once(engine: DockerEngine) -> None:
    container = await engine.create(shell("sleep 100"))
    await engine.start(container)

    await asyncio.gather(*(engine.remove(container) for _ in range(4)))

    assert await engine.owned(OWNER) == []


async def test_what_is_ours_is_found_by_its_labels(engine: DockerEngine) -> None:
    spec = replace(shell("true"), labels={**OWNER, "job": "1"})
    container = await engine.create(spec)
    await engine.create(shell("true"))

    (found,) = await engine.owned({**OWNER, "job": "1"})

    assert (found.id, found.name, found.state) == (container, spec.name, "created")
    assert found.labels["job"] == "1"
    assert found.created.tzinfo is not None


async def test_a_name_is_given_once(engine: DockerEngine) -> None:
    spec = shell("true")
    await engine.create(spec)

    with pytest.raises(NameTaken):
        await engine.create(spec)


async def test_images_here_are_known(engine: DockerEngine) -> None:
    assert await engine.has_image(IMAGE)
    assert not await engine.has_image("compute-horde-no-such-image")


async def test_an_image_that_is_not_here_cannot_be_used(engine: DockerEngine) -> None:
    with pytest.raises(ImageNotFound):
        await engine.create(replace(shell("true"), image="compute-horde-no-such-image"))


@pytest.mark.parametrize(
    "image",
    [
        "",
        "../x",
        "a/UPPER",
        "a b",
        "a?b=c",
        "a#b",
        "a/../b",
        "-x",
        "x:",
        "a@sha256:12",
        "x" * 600,
    ],
)
@pytest.mark.parametrize("verb", [DockerEngine.has_image, DockerEngine.pull])
async def test_odd_names_never_reach_the_daemon(
    verb: Callable[[DockerEngine, str], object], image: str
) -> None:
    async with DockerEngine("unix:///no/such/socket") as engine:
        with pytest.raises(ImageNotFound):
            await verb(engine, image)  # type: ignore[misc]  # both verbs are coroutines


@pytest.mark.parametrize("container", ["", "../images/json", "a/b", "a?b", "-x"])
async def test_odd_container_names_never_reach_the_daemon(container: str) -> None:
    async with DockerEngine("unix:///no/such/socket") as engine:
        with pytest.raises(NoSuchContainer):
            await engine.kill(container)


async def test_a_registry_that_does_not_answer_is_a_failed_pull(engine: DockerEngine) -> None:
    with pytest.raises(PullFailed):
        await engine.pull("127.0.0.1:1/no/image:tag")


async def test_a_missing_daemon_is_named() -> None:
    async with DockerEngine("unix:///no/such/socket") as engine:
        with pytest.raises(EngineUnavailable):
            await engine.ping()


async def test_the_daemon_answers(engine: DockerEngine) -> None:
    await engine.ping()


async def test_a_missing_busybox_says_what_to_install(engine: DockerEngine) -> None:
    with pytest.raises(BusyboxMissing, match="busybox-static"):
        await build_busybox_image(engine, IMAGE, Path("/no/such/busybox"))
