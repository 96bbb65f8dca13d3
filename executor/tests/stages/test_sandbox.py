"""What a job finds when it looks around, in a real container."""

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.docker_answers import field
from compute_horde_common.containers.interface import ContainerSpec, Limits, Mount
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.protocol.validator_miner import (
    HordeFailed,
    JobFinished,
)
from compute_horde_common.transfer.tree import JobTree
from executor.config import ExecutorConfig
from executor.stages.sandbox import Host, Program, container_for, limits_for
from tests.stand import IMAGE, OWNER, Stand

GIB = 1 << 30
CONFIG = ExecutorConfig(miner_address="ws://m", token="t", owner="o")
BIG = Host(memory_bytes=64 * GIB, cpus=32)


async def seen_by_job(stand: Stand, script: str) -> str:
    finished = await stand.run(script)
    assert isinstance(finished, JobFinished)
    return finished.docker_process_stdout


@pytest.fixture
def tree(tmp_path: Path) -> JobTree:
    return JobTree.create(tmp_path / "job")


def container(
    tree: JobTree, config: ExecutorConfig = CONFIG, *, gpu: bool = False, image: str = "team/app"
) -> ContainerSpec:
    return container_for(
        Program(image, (), {"A": "b", "NVIDIA_VISIBLE_DEVICES": "all"}),
        tree,
        config,
        job_uuid="1",
        limits=Limits(memory_bytes=64 << 20, cpus=1),
        gpus="all" if gpu else "none",
    )


async def test_a_job_has_no_network(stand: Stand) -> None:
    assert await seen_by_job(stand, "ls /sys/class/net") == "lo\n"


async def test_a_job_has_no_capabilities_and_can_gain_none(stand: Stand) -> None:
    script = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status"

    lines = (await seen_by_job(stand, script)).split("\n")[:-1]

    assert [line.split("\t")[1] for line in lines] == ["0" * 16] * 5 + ["1"]


async def test_a_job_runs_under_docker_s_seccomp_profile(stand: Stand) -> None:
    assert await seen_by_job(stand, "grep Seccomp: /proc/self/status") == "Seccomp:\t2\n"


async def test_a_job_s_files_processes_and_dumps_are_limited(stand: Stand) -> None:
    stand.config = replace(stand.config, job_disk_bytes=3 << 20)
    script = (
        "ulimit -n; ulimit -c; ulimit -f; cat /sys/fs/cgroup/pids*/pids.max /sys/fs/cgroup/pids.max"
    )

    seen = (await seen_by_job(stand, f"{script} 2>/dev/null; true")).split()

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert seen == [str(min(65536, most)), "0", str((3 << 20) // 512), "1024"]


async def test_a_job_dies_before_anything_else_on_its_host(stand: Stand) -> None:
    assert await seen_by_job(stand, "cat /proc/self/oom_score_adj") == "1000\n"


async def test_a_job_sees_no_control_group_but_its_own(stand: Stand) -> None:
    assert await seen_by_job(stand, "cut -d: -f3 /proc/self/cgroup | sort -u") == "/\n"


async def test_a_job_has_no_devices_but_the_harmless(stand: Stand) -> None:
    seen = await seen_by_job(stand, "find /dev -type b; find /dev -type c | sort")

    assert set(seen.split()) == {
        f"/dev/{name}" for name in ("full", "null", "pts/ptmx", "random", "tty", "urandom", "zero")
    }


async def test_a_job_s_shared_memory_has_the_size_it_was_given(stand: Stand) -> None:
    assert await seen_by_job(stand, "df -m /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2") == (
        "64\n"
    )


async def test_what_docker_hides_of_proc_stays_hidden(stand: Stand) -> None:
    script = "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls -A /proc/acpi"

    assert (await seen_by_job(stand, script)).split() == ["0"]


async def test_a_job_sees_no_folder_of_the_host_but_its_own(stand: Stand) -> None:
    mounts = await seen_by_job(stand, "ls / | sort | tr '\\n' ' '")

    assert mounts == "bin dev etc output proc root specs sys tmp volume "


def test_a_class_that_promises_hardware_gets_it() -> None:
    limits = limits_for(executor_class("always_on.cpu.8c.16gb"), CONFIG, BIG)

    assert (limits.memory_bytes, limits.cpus) == (16 * 10**9, 8)


def test_nobody_gets_more_than_the_host_has() -> None:
    host = Host(memory_bytes=4 * GIB, cpus=2)

    limits = limits_for(executor_class("always_on.cpu.8c.16gb"), CONFIG, host)

    assert (limits.memory_bytes, limits.cpus) == (4 * GIB, 2)


def test_jobs_with_a_gpu_share_half_their_memory_between_processes() -> None:
    limits = limits_for(executor_class("always_on.llm.a6000"), CONFIG, BIG)

    assert (limits.memory_bytes, limits.shm_bytes) == (48 * GIB, 24 * GIB)


def test_other_jobs_do_not() -> None:
    assert limits_for(executor_class("always_on.test"), CONFIG, BIG).shm_bytes == 64 << 20


async def test_a_job_may_write_to_its_root_volume_output_and_specs(stand: Stand) -> None:
    script = "for i in / /volume /output /specs; do echo x > $i/x && echo $i; done"

    assert await seen_by_job(stand, script) == "/\n/volume\n/output\n/specs\n"


def test_a_job_that_names_the_specs_for_its_artifacts_gets_them_once(tree: JobTree) -> None:
    program = Program("team/app", (), {}, artifacts_dir="/specs/")

    spec = container_for(
        program, tree, CONFIG, job_uuid="1", limits=Limits(memory_bytes=1, cpus=1), gpus="none"
    )

    assert spec.mounts == (
        Mount(str(tree.volume.path), "/volume"),
        Mount(str(tree.output.path), "/output"),
        Mount(str(tree.specs.path), "/specs"),
    )


def test_a_job_sees_the_gpus_of_its_executor_only(tree: JobTree) -> None:
    spec = container(tree, replace(CONFIG, gpus=("0", "GPU-2")), gpu=True)

    assert (spec.gpus, spec.env["NVIDIA_VISIBLE_DEVICES"]) == (("0", "GPU-2"), "0,GPU-2")


def test_an_executor_that_was_given_no_gpus_in_particular_gives_all(tree: JobTree) -> None:
    spec = container(tree, gpu=True)

    assert (spec.gpus, spec.env["NVIDIA_VISIBLE_DEVICES"]) == ("all", "all")


def test_a_job_without_gpus_cannot_ask_nvidia_s_runtime_for_them(tree: JobTree) -> None:
    spec = container(tree, replace(CONFIG, gpus=("0",)))

    assert (spec.gpus, spec.env) == ("none", {"A": "b", "NVIDIA_VISIBLE_DEVICES": "void"})


def test_the_operator_s_runtime_is_asked_for_by_name(tree: JobTree) -> None:
    assert container(tree, replace(CONFIG, runtime="runsc")).runtime == "runsc"


async def test_a_runtime_that_docker_does_not_know_is_never_replaced(stand: Stand) -> None:
    stand.config = replace(stand.config, runtime="no-such-runtime")

    report = await stand.run("true")

    assert isinstance(report, HordeFailed)
    assert "no-such-runtime" in report.message
    assert await stand.left() == ([], [])


async def test_a_container_has_the_runtime_that_was_asked_for(
    engine: DockerEngine, tree: JobTree
) -> None:
    config = replace(CONFIG, owner=OWNER, runtime="io.containerd.runc.v2")
    made = await engine.create(container(tree, config, image=IMAGE))

    reply = await engine._api.call("GET", f"/containers/{made}/json")

    assert field(reply.json, "HostConfig", "Runtime") == "io.containerd.runc.v2"


def test_an_image_is_used_by_its_full_name(tree: JobTree) -> None:
    assert container(tree).image == "docker.io/team/app:latest"
