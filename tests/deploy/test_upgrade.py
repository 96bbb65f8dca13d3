"""Upgrades, rollbacks and the removal of what `test_installers` installed, with jobs in flight."""

import asyncio

import pytest

from compute_horde_sdk.v1 import ComputeHordeJob
from tests.deploy.hosts import USER, Host
from tests.deploy.laptop import read_until
from tests.deploy.servers import MINER, VALIDATOR, Servers

pytestmark = pytest.mark.timeout(600)

HOME = f"/home/{USER}"
UPGRADE = f"{HOME}/{MINER}/upgrade"
JOB_SECONDS = 25
ENDED_WELL = ("completed", "started\ndone\n", "")


def publish(servers: Servers, images: str, *changes: str) -> None:
    """Puts another image of the miner into the channel."""
    servers.registry.push_changed(f"{images}/miner:latest", "miner:stable", *changes)


def published(host: Host) -> str:
    """The label of the image that the miner's web server runs."""
    return host.run(
        "docker inspect --format '{{index .Config.Labels \"test.version\"}}'"
        " $(docker ps --quiet --filter name=miner-app)"
    )


def serves(host: Host) -> bool:
    """Whether the miner takes jobs, as its doctor sees it."""
    doctor = "docker exec $(docker ps --quiet --filter name=miner-fleet) manage doctor"
    return "serving         takes new work" in host.try_to_run(doctor)[1]


async def with_a_job(servers: Servers, command: str) -> tuple[ComputeHordeJob, int, str]:
    """Runs a command on the miner's host while a job runs there: the job, exit status, output."""
    await asyncio.to_thread(servers.wait_for_the_offer)
    words = f"echo started; sleep {JOB_SECONDS}; echo done"
    async with servers.client() as client:
        job = await client.create_job(servers.spec("sh", "-c", words))
        async for _ in job.logs(follow=True):
            break
        status, output = await asyncio.to_thread(servers.miner.try_to_run, command, USER)
        await job.wait(timeout=120)
    return job, status, output


def end_of(job: ComputeHordeJob) -> tuple[str, str, str]:
    """Status, output and error."""
    return job.status.value, job.result.stdout if job.result else "", str(job.error or "")


async def test_nothing_is_done_where_nothing_is_new(servers: Servers) -> None:
    before = servers.miner.containers()

    assert servers.miner.try_to_run(f"{UPGRADE} --check", USER)[0] == 0
    status, output = servers.miner.try_to_run(UPGRADE, USER)

    assert (status, output.splitlines()[-1]) == (0, "upgrade: nothing is new")
    assert servers.miner.containers() == before


async def test_two_upgrades_at_once_are_one(servers: Servers) -> None:
    holder = servers.miner.start(f"flock {HOME}/{MINER} sh -c 'echo held; exec sleep 60'", USER)
    read_until(holder, "held")

    status, output = servers.miner.try_to_run(UPGRADE, USER)

    servers.miner.run("pkill -x sleep")
    holder.communicate()
    assert (status, output) == (1, "upgrade: another upgrade is going on\n")


async def test_an_upgrade_waits_for_the_job_that_runs(servers: Servers, images: str) -> None:
    publish(servers, images, "LABEL test.version=2")
    assert servers.miner.try_to_run(f"{UPGRADE} --check", USER)[0] == 3

    job, status, output = await with_a_job(servers, UPGRADE)

    assert status == 0, output
    assert "1 job runs" in output
    assert end_of(job) == ENDED_WELL
    assert published(servers.miner) == "2"
    assert serves(servers.miner)


async def test_an_upgrade_that_cannot_wait_so_long_changes_nothing(
    servers: Servers, images: str
) -> None:
    publish(servers, images, "LABEL test.version=3")
    before = servers.miner.containers()

    job, status, output = await with_a_job(servers, f"DRAIN_SECONDS=2 {UPGRADE}")

    assert (status, "jobs still run. Nothing was changed" in output) == (1, True), output
    assert end_of(job) == ENDED_WELL
    assert servers.miner.containers() == before
    assert serves(servers.miner)


async def test_an_upgrade_that_was_killed_is_undone_by_the_next(servers: Servers) -> None:
    killed = servers.miner.start(UPGRADE, USER)
    read_until(killed, "waiting for miner-app")
    servers.miner.run("pkill -KILL -f miner/[u]pgrade; pkill -KILL -f docker-[c]ompose")
    killed.communicate()
    assert not serves(servers.miner)

    status, output = servers.miner.try_to_run(f"{UPGRADE} --check", USER)

    assert (status, "the last upgrade was cut off" in output) == (3, True), output
    assert published(servers.miner) == "2"
    assert serves(servers.miner)


async def test_going_back_by_hand_is_not_undone_by_cron(servers: Servers, images: str) -> None:
    publish(servers, images, "LABEL test.version=gone-back-from")
    before = published(servers.miner)
    assert servers.miner.try_to_run(UPGRADE, USER)[0] == 0
    assert published(servers.miner) == "gone-back-from"

    status, output = servers.miner.try_to_run(f"{UPGRADE} --rollback", USER)

    assert status == 0, output
    assert published(servers.miner) == before
    _, output = servers.miner.try_to_run(f"{UPGRADE} --auto", USER)
    assert "these images did not work here before" in output
    assert published(servers.miner) == before
    assert serves(servers.miner)


async def test_an_image_that_does_not_work_is_rolled_back_and_no_job_lost(
    servers: Servers, images: str
) -> None:
    publish(servers, images, 'ENTRYPOINT ["false"]')
    before = {line.split()[2] for line in servers.miner.containers()}

    job, status, output = await with_a_job(servers, UPGRADE)

    assert (status, "what ran before runs again" in output) == (1, True), output
    assert end_of(job) == ENDED_WELL
    assert {line.split()[2] for line in servers.miner.containers()} == before
    assert serves(servers.miner)


def test_who_opts_out_is_left_alone(servers: Servers, images: str) -> None:
    publish(servers, images, "LABEL test.version=4")
    before = servers.miner.containers()
    servers.miner.run(
        f"sed -i s/^AUTOMATIC_UPDATES=.*/AUTOMATIC_UPDATES=false/ {HOME}/{MINER}/.env"
    )

    assert servers.miner.try_to_run(f"{UPGRADE} --auto", USER) == (0, "")

    assert servers.miner.containers() == before


def test_a_removed_miner_leaves_what_cannot_be_made_again(servers: Servers) -> None:
    command = (f"{USER}@{servers.miner.address}", "--uninstall")

    status, output = servers.laptop.run("install_miner.sh", *command)

    assert (status, "--purge removes all but Docker" in output) == (0, True), output
    assert _left(servers.miner, HOME, MINER) == {
        "containers": [],
        "networks": [],
        "images": [],
        "volumes": ["miner_db_data", "miner_redis_data", "miner_static"],
        "cron": [],
        "directory": [".env", "facilitator.env", "miner.env", "secrets", "validator.env"],
        "wallets": ["coldkeypub.txt", "my_hotkey"],
    }


def test_a_miner_is_installed_again_with_the_data_that_was_left(servers: Servers) -> None:
    path = servers.miner_path
    command = (f"{USER}@{servers.miner.address}", path)

    status, output = servers.laptop.run("install_miner.sh", *command)

    assert status == 0, output
    assert "automatic updates are off" in output


def test_a_purge_leaves_nothing(servers: Servers) -> None:
    command = (f"{USER}@{servers.miner.address}", "--purge", "--uninstall")

    status, output = servers.laptop.run("install_miner.sh", *command)

    assert status == 0, output
    assert _left(servers.miner, HOME, MINER) == _NOTHING


def test_a_service_is_purged_without_harm_to_the_one_beside_it(servers: Servers) -> None:
    command = (f"root@{servers.validator.address}", "--uninstall", "--purge")
    validator = [line for line in servers.validator.containers() if VALIDATOR in line]

    status, output = servers.laptop.run("install_miner.sh", *command)

    assert status == 0, output
    assert servers.validator.containers() == validator
    assert "validator_db" in servers.validator.run("docker volume ls --quiet")

    assert servers.laptop.run("install_validator.sh", *command)[0] == 0
    assert _left(servers.validator, "/root", VALIDATOR) == _NOTHING


_NOTHING: dict[str, list[str]] = {
    name: []
    for name in ("containers", "networks", "images", "volumes", "cron", "directory", "wallets")
}


def _left(host: Host, home: str, project: str) -> dict[str, list[str]]:
    asked = {
        "containers": "docker ps --all --quiet",
        "networks": "docker network ls --quiet --filter type=custom",
        # The job's own image is none of ours.
        "images": "docker images --format '{{.Repository}}' | grep -v /job$ || true",
        "volumes": "docker volume ls --quiet",
        "cron": "find /etc/cron.d -name 'compute-horde*'",
        "directory": f"ls -A {home}/{project} 2>/dev/null || true",
        "wallets": f"find {home}/.bittensor -type f -printf '%f\\n' | sort",
    }
    return {name: host.run(command).splitlines() for name, command in asked.items()}
