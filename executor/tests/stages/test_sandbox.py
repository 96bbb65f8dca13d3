"""What a job finds when it looks around, in a real container."""

from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.protocol.validator_miner import JobFinished
from executor.config import ExecutorConfig
from executor.stages.sandbox import Host, limits_for
from tests.stand import Stand

GIB = 1 << 30
CONFIG = ExecutorConfig(miner_address="ws://m", token="t", owner="o")
BIG = Host(memory_bytes=64 * GIB, cpus=32)


async def seen_by_job(stand: Stand, script: str) -> str:
    finished = await stand.run(script)
    assert isinstance(finished, JobFinished)
    return finished.docker_process_stdout


async def test_a_job_has_no_network(stand: Stand) -> None:
    assert await seen_by_job(stand, "ls /sys/class/net") == "lo\n"


async def test_a_job_has_no_capabilities_and_can_gain_none(stand: Stand) -> None:
    script = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status"

    lines = (await seen_by_job(stand, script)).split("\n")[:-1]

    assert [line.split("\t")[1] for line in lines] == ["0" * 16] * 5 + ["1"]


async def test_a_job_sees_no_folder_of_the_host_but_its_own(stand: Stand) -> None:
    mounts = await seen_by_job(stand, "ls / | sort | tr '\\n' ' '")

    assert mounts == "bin dev etc output proc root sys tmp volume "


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
