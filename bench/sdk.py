"""Our SDK beside the published one: how long its import takes, what it brings along, and how many
requests a job takes."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from compute_horde_devnet.state import NetworkState
from tests.interop.environments import Published
from tests.wheels.installing import RUNNING, Environment, build

PUBLISHED = "0.0.19"
IMPORTS = 10
SECONDS = 120

_IMPORT = """
import time
start, cpu = time.perf_counter(), time.process_time()
import compute_horde_sdk.v1
print(time.perf_counter() - start, time.process_time() - cpu)
"""
_SIZE = """
import importlib.metadata, pathlib, sysconfig
files = [each for each in pathlib.Path(sysconfig.get_path("purelib")).rglob("*") if each.is_file()]
print(len({*(each.name for each in importlib.metadata.distributions())}))
print(sum(each.stat().st_size for each in files if each.suffix != ".pyc") / 1e6)
"""
# Both SDKs send with httpx, which logs each request once.
_REQUESTS = """
import asyncio, json, logging, sys
import bittensor_wallet
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec

given = json.loads(sys.argv[1])
sent = []

class Counter(logging.Handler):
    def emit(self, record):
        sent.append(record.getMessage())

logging.getLogger("httpx").addHandler(Counter())
logging.getLogger("httpx").setLevel(logging.INFO)

async def main():
    wallet = bittensor_wallet.Wallet(**given["wallet"])
    client = ComputeHordeClient(
        wallet.hotkey, given["validator"], facilitator_url=given["facilitator"])
    spec = ComputeHordeJobSpec(
        executor_class=given["class"], job_namespace="SN12.bench", docker_image=given["image"],
        download_time_limit_sec=10, execution_time_limit_sec=30, upload_time_limit_sec=10,
        args=["sleep", "5"])
    counts = {}

    async def count(name, work):
        before = len(sent)
        done = await work
        counts[name] = len(sent) - before
        return done

    await count("log in", client.authenticate())
    job = await count("create_job", client.create_job(spec))
    await count("wait for a job of 5 s", job.wait(timeout=60))
    job = await count("run_until_complete of a job of 5 s", client.run_until_complete(spec))
    assert job.status.value == "completed", job.status
    await count("get_job", client.get_job(job.uuid))
    print(json.dumps(counts))

asyncio.run(main())
"""


def sdk_figures(state: NetworkState) -> dict[str, float]:
    """Prints the table; figures of ours, then of the published one, by name."""
    published = str(Published(f"compute-horde-sdk=={PUBLISHED}").install().home / "venv/bin/python")
    with tempfile.TemporaryDirectory(prefix="compute-horde-bench-") as folder:
        wheels = Path(folder) / "wheels"
        build(wheels)
        environment = Environment(Path(folder) / "venv", wheels, RUNNING)
        environment.install()
        ours = {**_installed(environment.python), **_requests(sys.executable, state)}
    theirs = {**_installed(published), **_requests(published, state)}
    print(f"{'SDK':40} {'ours':>10} {PUBLISHED:>10}")
    for name, value in ours.items():
        print(f"{name:40} {value:10.3f} {theirs[name]:10.3f}")
    return {f"SDK {name}": value for name, value in ours.items()} | {
        f"SDK {PUBLISHED} {name}": value for name, value in theirs.items()
    }


def _installed(python: str) -> dict[str, float]:
    _said(python, _IMPORT)  # compiles
    distributions, megabytes = _said(python, _SIZE).split()
    taken = [[float(word) for word in _said(python, _IMPORT).split()] for _ in range(IMPORTS)]
    return {
        "import (s)": median(wall for wall, _ in taken),
        "import, CPU (s)": median(cpu for _, cpu in taken),
        "distributions": int(distributions),
        "installed (MB)": float(megabytes),
    }


def _requests(python: str, state: NetworkState) -> dict[str, float]:
    wallet = state.client.wallet
    given = {
        "wallet": {
            "name": wallet.name,
            "hotkey": wallet.hotkey_name,
            "path": str(wallet.directory),
        },
        "validator": state.validators[0].hotkey,
        "facilitator": state.facilitator.url,
        "class": state.executor_class,
        "image": state.image,
    }
    counts: dict[str, Any] = json.loads(_said(python, _REQUESTS, json.dumps(given)))
    return {f"requests: {name}": count for name, count in counts.items()}


def _said(python: str, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [python, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout
