"""Two rented servers, and what they meet beside each other: a chain, a facilitator, a registry."""

import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compute_horde_common.chain.keys import Hotkey
from compute_horde_devnet.images import job_image
from compute_horde_devnet.options import free_port
from compute_horde_devnet.processes import wait_until
from compute_horde_devnet.state import WalletInfo
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass
from tests.deploy.hosts import PACKAGES_VOLUME, Host, Registry, host, hosts_network
from tests.deploy.images import NAMES, run
from tests.deploy.laptop import Laptop
from tests.deploy.stack import SECONDS, Stack, chain

PROJECT: Final = "compute_horde_hosts"
MINER: Final = "compute_horde_miner"
VALIDATOR: Final = "compute_horde_validator"
STRANGE: Final = 'it\'s an "odd" $wallet; name'
PLAIN: Final = "it_s_an__odd___wallet__name"


@dataclass(frozen=True)
class Servers:
    """Hosts without anything on them, until a test installs it; ``paths`` are the hotkeys'."""

    laptop: Laptop
    registry: Registry
    miner: Host
    validator: Host
    miner_path: Path
    validator_path: Path
    miner_key: Hotkey
    validator_key: Hotkey
    user: WalletInfo
    facilitator_url: str
    facilitator: Future[Stack]

    def client(self) -> ComputeHordeClient:
        """A user of the validator, once the facilitator runs."""
        self.facilitator.result()
        return ComputeHordeClient(
            hotkey=self.user.keypair(),
            compute_horde_validator_hotkey=self.validator_key.ss58,
            facilitator_url=self.facilitator_url,
        )

    def wait_for_the_offer(self) -> None:
        """Returns once the validator knows that the miner's executor waits for a job."""
        rows = (
            "SELECT count(*) FROM validator_minermanifest WHERE counts @> '{\"always_on.test\": 1}'"
        )
        database = "$(docker ps --quiet --filter name=validator-db)"
        psql = f"docker exec {database} psql --username=postgres --tuples-only --no-align"

        def known() -> bool:
            return self.validator.run(f"{psql} --command {shlex.quote(rows)}") == "1"

        wait_until(known, [], what="the miner's offer", seconds=SECONDS)

    def spec(self, *args: str) -> ComputeHordeJobSpec:
        """A job of a shell's."""
        return ComputeHordeJobSpec(
            executor_class=ExecutorClass.always_on__test,
            job_namespace="SN12.tests",
            docker_image=f"{self.registry.address}/job:1",
            args=list(args),
            download_time_limit_sec=20,
            execution_time_limit_sec=120,
            upload_time_limit_sec=10,
        )


@contextmanager
def servers(folder: Path, images: str) -> Iterator[Servers]:
    """Everything but what the installers install; nothing of it is left afterwards."""
    bought = Laptop.bought(folder / "laptop")
    miner_path, miner_key = bought.wallet(STRANGE, "my hotkey")
    validator_path, validator_key = bought.wallet("validator", "default")
    _, user_key = bought.wallet("user", "default")
    user = WalletInfo(
        directory=bought.home / "wallets", name="user", hotkey_name="default", hotkey=user_key.ss58
    )
    with ExitStack() as stack:
        stack.callback(run, "docker", "volume", "rm", "--force", PACKAGES_VOLUME)
        gateway = stack.enter_context(hosts_network())
        registry = Registry(folder / "registry", gateway)
        stack.callback(registry.stop)
        registry.start()
        chain_url = stack.enter_context(chain(folder, validator_key, miner_key, gateway))
        port = free_port(gateway)
        meeting = stack.enter_context(_facilitator(folder, images, f"{gateway}:{port}", chain_url))
        _push_all(registry, images)
        rented = [
            stack.enter_context(host(name, key=bought.key, registry=registry.address))
            for name in ("miner", "validator")
        ]
        yield Servers(
            laptop=Laptop(bought.home, _exported(registry, chain_url, f"{gateway}:{port}")),
            registry=registry,
            miner=rented[0],
            validator=rented[1],
            miner_path=miner_path,
            validator_path=validator_path,
            miner_key=miner_key,
            validator_key=validator_key,
            user=user,
            facilitator_url=f"http://{gateway}:{port}",
            facilitator=meeting,
        )


def _exported(registry: Registry, chain_url: str, facilitator: str) -> dict[str, str]:
    return {
        "COMPUTE_HORDE_IMAGES": registry.address,
        "COMPUTE_HORDE_VERSION": "stable",
        "COMPUTE_HORDE_MIN_DISK_GB": "5",
        "BITTENSOR_NETWORK": chain_url,
        "FACILITATOR_URI": f"ws://{facilitator}/ws/v0/",
        "CHAIN_SYNC_SECONDS": "2",
        "MANIFEST_SYNC_SECONDS": "2",
        "ALLOW_PRIVATE_MINERS": "true",
        "ALLOW_PRIVATE_ADDRESSES": "true",
    }


def _push_all(registry: Registry, images: str) -> None:
    for name in NAMES:
        registry.push(f"{images}/{name}:latest", f"{name}:stable")
    registry.push(job_image(), "job:1")


@contextmanager
def _facilitator(
    folder: Path, images: str, address: str, chain_url: str
) -> Iterator[Future[Stack]]:
    """Starts one on this machine; it takes a while, in which other things can be done."""
    (folder / "facilitator").mkdir()
    stack = Stack(folder / "facilitator")
    stack.configure(
        "facilitator",
        **{f"{name.upper()}_IMAGE": f"{images}/{name}:latest" for name in NAMES},
        COMPOSE_PROJECT_NAME=PROJECT,
        VOLUME_PREFIX=f"{PROJECT}_",
        BITTENSOR_NETWORK=chain_url,
        FACILITATOR_PORT=address,
        CHAIN_SYNC_SECONDS="2",
    )

    def start() -> Stack:
        stack.compose("up", "--detach")
        return stack

    with ThreadPoolExecutor(1) as beside, closing(_Down(stack)):
        yield beside.submit(start)


class _Down:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def close(self) -> None:
        self._stack.compose("down", "--volumes", "--timeout", "20")
