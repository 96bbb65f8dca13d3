"""Starts every service of a network as a process of its own, and stops them all."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.contrib.django.embedded import EmbeddedPostgres, EmbeddedRedis
from compute_horde_devnet import services
from compute_horde_devnet.images import job_image
from compute_horde_devnet.options import NETUID, NetworkOptions, free_port
from compute_horde_devnet.processes import Child, Identity, finish, spawn, stop, wait_until
from compute_horde_devnet.services import Place, Service, Stores, WalletPath
from compute_horde_devnet.state import (
    ClientInfo,
    NetworkState,
    ProcessInfo,
    ServiceInfo,
    WalletInfo,
)

LOCALHOST = "127.0.0.1"
VALIDATOR_STAKE = 10_000
READY_SECONDS = 120.0
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "DOCKER_HOST",
    "TMPDIR",
    "COMPUTE_HORDE_CACHE",
    "SSL_CERT_FILE",
)


class Network:
    """A network that is being started, runs, or is being stopped.

    ``tell`` is called with a short phrase for each step of the way.
    """

    def __init__(self, options: NetworkOptions, tell: Callable[[str], None]) -> None:
        self.options = options
        self.tell = tell
        self.data = options.data
        self.children: list[Child] = []
        self.postgres = EmbeddedPostgres(
            self.data / "postgres", dies_with_us=options.die_with_parent
        )
        self.redis = EmbeddedRedis(self.data / "redis", dies_with_us=options.die_with_parent)
        self.state: NetworkState | None = None
        self._redis_database = 0
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}

    def start(self) -> NetworkState:
        """Starts everything and returns once a job can be submitted.

        Raises:
            ProcessFailed: a process did not come up; the text has its last lines.
        """
        for folder in (self.data, self.data / "logs", self.data / "work"):
            folder.mkdir(parents=True, exist_ok=True)
        self.tell("building the job image")
        image = job_image()
        self.tell("starting PostgreSQL and Redis")
        self.postgres.start()
        self.redis.start()
        keys = _Keys(self.options)
        keys.write(self.data / "wallets")
        self.tell("starting the chain")
        chain_url = self._start_chain(keys)
        facilitator, others = self._services(chain_url, keys)
        self.tell("preparing the databases")
        self._prepare([facilitator, *others])
        self.tell("starting the services")
        for service in [facilitator, *others]:
            self._start_service(service)
        self.tell("waiting until validators and miners have found each other")
        self._wait([facilitator, *others])
        self.state = self._state(image, chain_url, keys, facilitator, others)
        return self.state

    def child(self, name: str) -> Child:
        """The running process of that name, e.g. ``miner-1-web``."""
        return next(child for child in self.children if child.name == name)

    def restart(self, name: str) -> Child:
        """Starts a process again that has ended, as a supervisor would."""
        self.children.remove(self.child(name))
        argv, env = self._commands[name]
        return self._spawn(name, argv, env)

    def stop(self) -> None:
        """Stops everything that was started; may be called at any time, and again."""
        # Miners first: they end their executors, which end their containers.
        stop([child for child in self.children if child.name.startswith("miner")])
        stop([child for child in self.children if child.name.startswith("trusted")])
        stop(self.children)
        self.redis.stop()
        self.postgres.stop()

    def _start_chain(self, keys: "_Keys") -> str:
        port = self._port("chain", LOCALHOST)
        argv = [sys.executable, "-m", "compute_horde_devnet.node", "--port", str(port)]
        argv += ["--netuid", str(NETUID), "--block-time", str(self.options.block_time)]
        for hotkey in keys.validators:
            argv += ["--register", f"{hotkey.ss58}={keys.cold.ss58}"]
            argv += ["--stake", f"{hotkey.ss58}={VALIDATOR_STAKE}"]
        for hotkey in keys.miners:
            argv += ["--register", f"{hotkey.ss58}={keys.cold.ss58}"]
        chain = self._spawn("chain", argv, self._base_env())
        wait_until(
            lambda: _listens(LOCALHOST, port), [chain], what="the chain", seconds=READY_SECONDS
        )
        return f"ws://{LOCALHOST}:{port}"

    def _services(self, chain_url: str, keys: "_Keys") -> tuple[Service, list[Service]]:
        signers = [keys.client.ss58, *self.options.allow]
        facilitator = services.facilitator(
            self._place("facilitator", LOCALHOST, chain_url), allowed=signers
        )
        others: list[Service] = []
        for number, hotkey in enumerate(keys.miners, 1):
            others.append(
                services.miner(
                    self._place(f"miner-{number}", f"127.0.1.{number}", chain_url),
                    wallet=WalletPath(self.data / "wallets", f"miner-{number}"),
                    hotkey=hotkey.ss58,
                    slots={self.options.executor_class: self.options.slots},
                    settings=self.options.miner_settings,
                )
            )
        for number, hotkey in enumerate(keys.validators, 1):
            others += self._validator(number, hotkey, chain_url, facilitator.url, signers)
        return facilitator, others

    def _validator(
        self, number: int, hotkey: Hotkey, chain_url: str, facilitator_url: str, signers: list[str]
    ) -> list[Service]:
        trusted: list[Service] = []
        if self.options.trusted:
            trusted.append(
                services.miner(
                    self._place(f"trusted-miner-{number}", f"127.0.2.{number}", chain_url),
                    wallet=None,
                    hotkey="",
                    slots={self.options.executor_class: self.options.slots},
                    settings=self.options.miner_settings,
                    trusted_validator=hotkey.ss58,
                )
            )
        validator = services.validator(
            self._place(f"validator-{number}", LOCALHOST, chain_url),
            wallet=WalletPath(self.data / "wallets", f"validator-{number}"),
            hotkey=hotkey.ss58,
            facilitator_url=facilitator_url,
            allowed=signers,
            trusted_miner=(trusted[0].host, trusted[0].port) if trusted else None,
        )
        return [*trusted, validator]

    def _prepare(self, all_services: list[Service]) -> None:
        waiting = []
        for service in all_services:
            arguments = [word for line in service.preparations for word in ("--", *line)]
            argv = [sys.executable, "-m", "compute_horde_devnet.prepare", *arguments]
            env = service.env(self._base_env())
            waiting.append(self._spawn(f"{service.name}-prepare", argv, env, keep=False))
        for child in waiting:
            finish(child, seconds=READY_SECONDS)

    def _start_service(self, service: Service) -> None:
        env = service.env(self._base_env())
        for name, argv in service.processes(self.data).items():
            self._spawn(f"{service.name}-{name}", argv, env)

    def _wait(self, all_services: list[Service]) -> None:
        for service in all_services:
            wait_until(
                lambda url=service.url: _healthy(url),  # type: ignore[misc]  # bound now
                self.children,
                what=service.name,
                seconds=READY_SECONDS,
            )
        by_package = {
            package: [service for service in all_services if service.package == package]
            for package in ("facilitator", "validator", "miner")
        }
        validators = len(by_package["validator"])
        miners = sum(not service.name.startswith("trusted") for service in by_package["miner"])
        for service in by_package["facilitator"]:
            self._wait_for_rows(service, "facilitator_validatorconnection", validators)
        for service in by_package["validator"]:
            self._wait_for_rows(
                service, "validator_minermanifest WHERE fetched_at IS NOT NULL", miners
            )
        for service in by_package["miner"]:
            self._wait_for_rows(
                service, "miner_executor WHERE state = 'waiting'", self.options.slots
            )

    def _wait_for_rows(self, service: Service, rows: LiteralString, count: int) -> None:
        wait_until(
            lambda: _count(service.stores.database_url, rows) >= count,
            self.children,
            what=f"{count} {rows} of {service.name}",
            seconds=READY_SECONDS,
        )

    def _state(
        self,
        image: str,
        chain_url: str,
        keys: "_Keys",
        facilitator: Service,
        others: list[Service],
    ) -> NetworkState:
        def infos(prefix: str) -> list[ServiceInfo]:
            return [service.info() for service in others if service.name.startswith(prefix)]

        return NetworkState(
            data=self.data,
            chain_url=chain_url,
            netuid=NETUID,
            image=image,
            executor_class=self.options.executor_class,
            facilitator=facilitator.info(),
            validators=infos("validator"),
            miners=infos("miner"),
            trusted_miners=infos("trusted"),
            client=ClientInfo(
                wallet=WalletInfo(
                    directory=self.data / "wallets",
                    name="client",
                    hotkey_name="default",
                    hotkey=keys.client.ss58,
                )
            ),
            processes=[
                ProcessInfo(
                    name=child.name,
                    pid=child.identity.pid,
                    created=child.identity.created,
                    log=child.log,
                )
                for child in [*self.children, *self._databases()]
            ],
        )

    def _databases(self) -> list[Child]:
        servers = {"postgres": self.postgres.pid, "redis": self.redis.pid}
        return [
            Child(name, Identity.of(pid), self.data / name / f"{name}.log")
            for name, pid in servers.items()
            if pid is not None
        ]

    def _spawn(
        self, name: str, argv: list[str], env: dict[str, str], *, keep: bool = True
    ) -> Child:
        child = spawn(
            name,
            argv,
            env=env,
            log=self.data / "logs" / f"{name}.log",
            die_with_parent=self.options.die_with_parent,
            cwd=self.data,
        )
        if keep:
            self.children.append(child)
            self._commands[name] = (argv, env)
        return child

    def _base_env(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **passed_on,
            "PYTHONUNBUFFERED": "1",
            "BITTENSOR_RUNTIME_CACHE_DIR": str(self.data / "runtime-cache"),
        }

    def _place(self, name: str, host: str, chain_url: str) -> Place:
        database = self.postgres.create_database(name.replace("-", "_"))
        self._redis_database += 1
        stores = Stores(database, self.redis.url(self._redis_database))
        return Place(name, host, self._port(name, host), stores, chain_url, self.data)

    def _port(self, name: str, host: str) -> int:
        return self.options.ports.get(name) or free_port(host)


class _Keys:
    # Fresh for each network: nothing that could be worth stealing.
    def __init__(self, options: NetworkOptions) -> None:
        self.cold = Hotkey.generate()
        self.client = Hotkey.generate()
        self.validators = [Hotkey.generate() for _ in range(options.validators)]
        self.miners = [Hotkey.generate() for _ in range(options.miners)]

    def write(self, directory: Path) -> None:
        self.client.write_wallet(directory, "client", "default")
        for number, hotkey in enumerate(self.validators, 1):
            hotkey.write_wallet(directory, f"validator-{number}", "default")
        for number, hotkey in enumerate(self.miners, 1):
            hotkey.write_wallet(directory, f"miner-{number}", "default")


def _listens(host: str, port: int) -> bool:
    return _answers(f"http://{host}:{port}/")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _count(database_url: str, rows: LiteralString) -> int:
    with psycopg.connect(database_url) as connection:
        query = "SELECT count(*) FROM " + rows  # noqa: S608 - words of ours
        found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0
