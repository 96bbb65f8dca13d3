"""What every test of the miner may use. Nothing here imports a model: Django is not up yet."""

import atexit
import os
import shutil
import tempfile
from datetime import UTC, datetime

import pytest

from compute_horde_common.chain.keys import Hotkey

_WALLETS = tempfile.mkdtemp(prefix="horde-miner-wallets-")
atexit.register(shutil.rmtree, _WALLETS, ignore_errors=True)
Hotkey.from_uri("//Bob").write_wallet(_WALLETS, "miner", "default")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")
os.environ["BITTENSOR_WALLET_DIRECTORY"] = _WALLETS
os.environ["BITTENSOR_WALLET_NAME"] = "miner"
os.environ["EXECUTOR_SLOTS"] = "always_on.test=2,spin_up-4min.gpu-24gb=1"
os.environ["EXECUTOR_ENVIRONMENT"] = "JOB_DISK_BYTES=1000000000\nHF_ACCESS_TOKEN=hf_secret"
os.environ["EXECUTOR_GPUS"] = "0,1"
pytest_plugins = ["compute_horde_common.contrib.django.testing"]

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def at() -> datetime:
    """The moment at which a hand-wound clock starts."""
    return AT


@pytest.fixture(scope="session")
def alice() -> Hotkey:
    """A validator that is served."""
    return Hotkey.from_uri("//Alice")


@pytest.fixture(scope="session")
def charlie() -> Hotkey:
    """Another validator."""
    return Hotkey.from_uri("//Charlie")


@pytest.fixture(scope="session")
def bob() -> Hotkey:
    """The miner."""
    return Hotkey.from_uri("//Bob")
