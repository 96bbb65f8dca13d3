"""A network that runs in containers, from the compose file, beside a chain on this machine."""

import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compute_horde_common.chain.keys import Hotkey
from compute_horde_devnet.images import job_image
from compute_horde_devnet.options import EXECUTOR_CLASS, NETUID, free_port
from compute_horde_devnet.processes import ProcessFailed, spawn, stop, wait_until
from compute_horde_devnet.state import (
    AdminLogin,
    ClientInfo,
    NetworkState,
    ServiceInfo,
    WalletInfo,
)
from tests.deploy.images import NAMES, ROOT, run

PROJECT = "compute_horde_tests"
SERVICES_USER = 10001
STAKE = 10_000
SECONDS = 120.0


def gateway() -> str:
    """This machine's address, as containers see it."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return run("docker", "network", "inspect", "--format", form, "bridge").strip()


class Stack:
    """A folder with the compose file and what ``configure`` writes beside it."""

    def __init__(self, folder: Path, compose: str = "docker-compose") -> None:
        self.folder = folder
        self._compose = compose
        shutil.copy(ROOT / "docker-compose.yml", folder)
        shutil.copy(ROOT / "docker/configure", folder)

    def configure(self, profile: str, **variables: str) -> None:
        """Writes .env and the secrets."""
        run("./configure", profile, cwd=self.folder, **variables)

    def compose(self, *arguments: str) -> str:
        """What a command of Compose's printed."""
        return run(self._compose, *arguments, cwd=self.folder)

    def manage(self, container: str, *arguments: str) -> str:
        """What a management command printed in a running container."""
        return self.compose("exec", "-T", container, "manage", *arguments)

    def count(self, service: str, rows: str) -> int:
        """How many rows a service's database has, e.g. of ``miner_job WHERE …``."""
        query = f"SELECT count(*) FROM {rows}"  # noqa: S608 - words of ours
        asked = ("psql", "--username=postgres", "--tuples-only", "--command", query)
        return int(self.compose("exec", "-T", f"{service}-db", *asked))

    def wait_for(self, service: str, rows: str, count: int = 1) -> None:
        """Returns once there are so many."""
        what = f"{count} {rows} of {service}"
        enough = lambda: self.count(service, rows) >= count  # noqa: E731 - a question
        try:
            wait_until(enough, [], what=what, seconds=SECONDS)
        except ProcessFailed as failure:
            raise ProcessFailed(f"{failure}\n{self.compose('logs', '--tail', '8')}") from failure

    def secret(self, name: str) -> str:
        """One of the generated secrets."""
        return (self.folder / "secrets" / name).read_text()


def left_of(project: str, executor: str) -> list[str]:
    """The containers, networks and volumes whose names begin like the project's, and containers of
    the executor's image."""
    named = f"--filter=name={project}"
    return [
        *run("docker", "ps", "--all", "--quiet", named).split(),
        *run("docker", "ps", "--all", "--quiet", f"--filter=ancestor={executor}").split(),
        *run("docker", "network", "ls", "--quiet", named).split(),
        *run("docker", "volume", "ls", "--quiet", named).split(),
    ]


@contextmanager
def chain(folder: Path, validator: Hotkey, miner: Hotkey, host: str = "") -> Iterator[str]:
    """The address of a chain on which both are registered."""
    cold = Hotkey.generate().ss58
    host = host or gateway()
    port = free_port(host)
    argv = [sys.executable, "-m", "compute_horde_devnet.node", "--host", host, "--port", str(port)]
    argv += ["--netuid", str(NETUID), "--stake", f"{validator.ss58}={STAKE}"]
    argv += ["--register", f"{validator.ss58}={cold}", "--register", f"{miner.ss58}={cold}"]
    log = folder / "chain.log"
    child = spawn("chain", argv, env={}, log=log, die_with_parent=True, cwd=folder)
    try:
        wait_until(lambda: _listens(host, port), [child], what="the chain", seconds=SECONDS)
        yield f"ws://{host}:{port}"
    finally:
        stop([child])


@contextmanager
def whole_network(folder: Path, images: str) -> Iterator[tuple[Stack, NetworkState]]:
    """Every service in containers, ready for jobs; nothing of it is left afterwards."""
    validator, miner, client = (Hotkey.generate() for _ in range(3))
    wallets = folder / "wallets"
    for hotkey, name in ((validator, "validator"), (miner, "miner"), (client, "client")):
        hotkey.write_wallet(wallets, "wallet", name)
    run("chown", "--recursive", str(SERVICES_USER), str(wallets))
    port = free_port("127.0.0.1")
    stack = Stack(folder)
    with chain(folder, validator, miner) as chain_url:
        stack.configure(
            "all",
            **{f"{name.upper()}_IMAGE": f"{images}/{name}:latest" for name in NAMES},
            COMPOSE_PROJECT_NAME=PROJECT,
            VOLUME_PREFIX=f"{PROJECT}_",
            HOST_WALLET_DIR=str(wallets),
            BITTENSOR_WALLET_NAME="wallet",
            BITTENSOR_WALLET_HOTKEY_NAME="validator",
            BITTENSOR_NETWORK=chain_url,
            BITTENSOR_MINER_ADDRESS=gateway(),
            BITTENSOR_MINER_PORT=str(free_port(gateway())),
            FACILITATOR_PORT=f"127.0.0.1:{port}",
            FACILITATOR_URI="ws://facilitator-nginx:8080/ws/v0/",
            HTTP_PORT=str(free_port("127.0.0.1")),
            EXECUTOR_SLOTS=f"{EXECUTOR_CLASS}=2",
            EXECUTOR_WORK_DIRECTORY=str(folder / "work"),
            ALLOW_PRIVATE_ADDRESSES="true",
            ALLOW_PRIVATE_MINERS="true",
            CHAIN_SYNC_SECONDS="2",
            MANIFEST_SYNC_SECONDS="2",
        )
        with (folder / "miner.env").open("a") as variables:
            variables.write("BITTENSOR_WALLET_HOTKEY_NAME=miner\n")
        with (folder / "facilitator.env").open("a") as variables:
            variables.write("ALLOWED_HOSTS=horde.example\n")
        try:
            stack.compose("up", "--detach")
            stack.manage("facilitator-app", "allow_hotkey", client.ss58)
            stack.manage("validator-app", "allow_signer", client.ss58)
            stack.wait_for("facilitator", "facilitator_validatorconnection")
            stack.wait_for("validator", "validator_minermanifest WHERE fetched_at IS NOT NULL")
            stack.wait_for("miner", "miner_executor WHERE state = 'waiting'", 2)
            yield stack, _state(stack, chain_url, port, (validator, miner, client))
        finally:
            stack.compose("down", "--volumes", "--timeout", "20")
            assert left_of(PROJECT, f"{images}/executor:latest") == []


def _state(
    stack: Stack, chain_url: str, port: int, keys: tuple[Hotkey, Hotkey, Hotkey]
) -> NetworkState:
    def info(name: str, hotkey: str = "") -> ServiceInfo:
        url = f"http://127.0.0.1:{port}"
        password = stack.secret(f"{name}_admin_password")
        admin = AdminLogin(url=f"{url}/admin/", username="admin", password=password)
        stores = {"database_url": "", "redis_url": ""}
        return ServiceInfo(name=name, url=url, hotkey=hotkey, admin=admin, **stores)

    validator, miner, client = keys
    return NetworkState(
        data=stack.folder,
        chain_url=chain_url,
        netuid=NETUID,
        image=job_image(),
        executor_class=EXECUTOR_CLASS,
        facilitator=info("facilitator"),
        validators=[info("validator", validator.ss58)],
        miners=[info("miner", miner.ss58)],
        client=ClientInfo(
            wallet=WalletInfo(
                directory=stack.folder / "wallets",
                name="wallet",
                hotkey_name="client",
                hotkey=client.ss58,
            )
        ),
        processes=[],
    )


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
