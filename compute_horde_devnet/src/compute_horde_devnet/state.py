"""What ``./dev up`` started, as one JSON file: for scripts, and for ``./dev down``."""

from pathlib import Path

from bittensor_wallet import Keypair, Wallet
from pydantic import BaseModel, ConfigDict

from compute_horde_devnet.processes import Child, Identity

FILE_NAME = "network.json"


class ProcessInfo(BaseModel):
    """One process of the network."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    created: float
    log: Path

    def child(self) -> Child:
        """The process, to look at or to stop."""
        return Child(self.name, Identity(self.pid, self.created), self.log)


class AdminLogin(BaseModel):
    """How to get into an admin panel."""

    model_config = ConfigDict(frozen=True)

    url: str
    username: str
    password: str


class ServiceInfo(BaseModel):
    """One facilitator, validator or miner. ``hotkey`` is empty where it has none."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    hotkey: str = ""
    admin: AdminLogin
    database_url: str
    redis_url: str


class WalletInfo(BaseModel):
    """A wallet on disk, as bittensor lays it out."""

    model_config = ConfigDict(frozen=True)

    directory: Path
    name: str
    hotkey_name: str
    hotkey: str

    def keypair(self) -> Keypair:
        """The key that a user of the SDK would pass."""
        return Wallet(name=self.name, hotkey=self.hotkey_name, path=str(self.directory)).hotkey


class ClientInfo(BaseModel):
    """Who may submit jobs."""

    model_config = ConfigDict(frozen=True)

    wallet: WalletInfo


class NetworkState(BaseModel):
    """The whole network."""

    model_config = ConfigDict(frozen=True)

    data: Path
    chain_url: str
    netuid: int
    image: str
    executor_class: str
    facilitator: ServiceInfo
    validators: list[ServiceInfo]
    miners: list[ServiceInfo]
    trusted_miners: list[ServiceInfo] = []
    client: ClientInfo
    processes: list[ProcessInfo]

    def save(self) -> Path:
        """Writes the file that the other commands read; only its owner can."""
        path = self.data / FILE_NAME
        path.touch(mode=0o600)
        path.write_text(self.model_dump_json(indent=2))
        return path


def load(data: Path) -> NetworkState | None:
    """The network that was started with this data folder, if there is one."""
    path = data / FILE_NAME
    if not path.exists():
        return None
    return NetworkState.model_validate_json(path.read_text())
