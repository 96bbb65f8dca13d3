"""The examples of three documents run on the network, with nothing but names replaced."""

import asyncio
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.scratch_image import add_busybox
from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeAPIError,
    ComputeHordeClient,
    ExecutorClass,
    HTTPOutputVolume,
)
from tests.conftest import SECONDS, SpecMaker
from tests.web_server import WebServer

pytestmark = pytest.mark.timeout(180)

PROGRAMS = Path(__file__).parent / "programs"
IMAGE = "compute-horde-examples:1"
# Without arguments it does nothing; as in the examples, it makes an image of all its inputs.
SCRIPT = """
[ "$0" = main.py ] || exit 0
echo "$*"
cat /volume/models/model01/config.json /volume/data/version.txt /volume/data/dataset.json \
    > /output/image.png
echo "transfer $HF_HUB_ENABLE_HF_TRANSFER" > /artifacts/note.txt
"""
INPUTS = b'{"layers": 2}version=2{"rows": 1}'

WHOLE = """
import asyncio
import bittensor_wallet
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass

wallet = bittensor_wallet.Wallet(name="...", hotkey="...")
client = ComputeHordeClient(wallet.hotkey, compute_horde_validator_hotkey="...")

def process(job):
    print(job.uuid, job.status)

async def main():
{lines}

asyncio.run(main())
"""

Run = Callable[..., str]


@pytest.fixture(scope="session")
def image() -> str:
    async def build() -> None:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            add_busybox(archive)
        entrypoint = json.dumps(["sh", "-ec", SCRIPT])
        changes = ("ENV PATH=/bin", f"ENTRYPOINT {entrypoint}")
        async with DockerEngine() as engine:
            await engine.import_image(IMAGE, made.getvalue(), changes)

    asyncio.run(build())
    return IMAGE


@pytest.fixture
def run(state: NetworkState, web: WebServer, image: str, tmp_path: Path) -> Run:
    """Runs a program in a Python of its own, and returns what it prints."""
    wallets = tmp_path / ".bittensor" / "wallets"
    wallets.parent.mkdir()
    wallets.symlink_to(state.client.wallet.directory)
    env = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "COMPUTE_HORDE_FACILITATOR_URL": state.facilitator.url,
    }

    def start(program: str, **more: str) -> str:
        names = {
            'name="..."': f'name="{state.client.wallet.name}"',
            'hotkey="..."': f'hotkey="{state.client.wallet.hotkey_name}"',
            'validator_hotkey="..."': f'validator_hotkey="{state.validators[0].hotkey}"',
            "my-username/my-image:latest": image,
            "https://my-dataset-bucket.s3.amazonaws.com": web.url,
            "https://my-image-bucket.s3.amazonaws.com": web.url,
            "https://<your-s3-or-r2-presigned-url>": f"{web.url}/presigned?signature=1",
            **more,
        }
        file = tmp_path / "program.py"
        file.write_text(_replaced(program, names))
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return start


def _replaced(program: str, names: dict[str, str]) -> str:
    # Longer ones first: the name of one may be the end of another.
    for name in sorted(names, key=len, reverse=True):
        program = program.replace(name, names[name])
    return program


def _program(name: str) -> str:
    return (PROGRAMS / f"{name}.txt").read_text()


def _whole(name: str, before: str = "", after: str = "") -> str:
    lines = "\n".join([before, _program(name), after])
    return WHOLE.format(lines=textwrap.indent(lines, "    "))


@pytest.mark.parametrize("name", ["readme_early_1_simplest", "readme_0_0_18_1_simplest"])
async def test_the_simplest_example_prints_completed(run: Run, name: str) -> None:
    assert await asyncio.to_thread(run, _program(name)) == "Completed\n"


@pytest.mark.parametrize("name", ["readme_early_2_advanced", "readme_0_0_18_2_advanced"])
async def test_the_advanced_example_gets_its_inputs_and_sends_its_output(
    run: Run, web: WebServer, name: str
) -> None:
    web.files["/sample-dataset/data.json"] = b'{"rows": 1}'

    printed = await asyncio.to_thread(run, _program(name))

    status, _, result = printed.partition("\n")
    assert status == "Completed"
    assert "stdout='--block 10000\\n'" in result
    assert "artifacts={'/artifacts/note.txt': b'transfer 1\\n'}" in result
    assert "upload_results={'/output/image.png': HttpOutputVolumeResponse(" in result
    assert web.received == {"/images/image.png": INPUTS}


async def test_the_example_of_a_presigned_upload_sends_the_output(
    run: Run, web: WebServer, state: NetworkState
) -> None:
    make = f"""
job_spec = ComputeHordeJobSpec(
    ExecutorClass.always_on__test, "SN123.0", "{state.image}",
    args=["sh", "-c", "echo png > /output/image.png"],
)
"""
    then = "process(await client.run_until_complete(job_spec))"

    printed = await asyncio.to_thread(run, _whole("readme_0_0_18_3_presigned", make, then))

    assert printed.endswith(" Completed\n")
    assert web.received == {"/presigned?signature=1": b"png\n"}


async def test_the_example_of_a_cheat_report_reports_a_cheat(
    run: Run, client: ComputeHordeClient, spec: SpecMaker
) -> None:
    job = await client.create_job(spec("echo", "a"))
    trusted = await client.create_job(spec("echo", "b"), on_trusted_miner=True)
    await job.wait(timeout=SECONDS)
    await trusted.wait(timeout=SECONDS)
    given = f"""
job_uuid, trusted_job_uuid = "{job.uuid}", "{trusted.uuid}"
trusted_hash, cheated_hash = "b", "a"
"""

    printed = await asyncio.to_thread(run, _whole("readme_0_0_18_4_report", given))

    assert printed == ""
    with pytest.raises(ComputeHordeAPIError, match="reported before"):
        await client.report_cheated_job(job.uuid, trusted.uuid)


@pytest.mark.parametrize("name", ["readme_early_3_get_job", "readme_0_0_18_5_get_job"])
async def test_the_example_of_one_job_finds_it(
    run: Run, client: ComputeHordeClient, spec: SpecMaker, name: str
) -> None:
    job = await client.create_job(spec("true"))
    await job.wait(timeout=SECONDS)
    names = {"7b522daa-e807-4094-8d96-99b9a863f960": job.uuid}

    printed = await asyncio.to_thread(run, _whole(name, after="process(job)"), **names)

    assert printed == f"{job.uuid} Completed\n"


@pytest.mark.parametrize(
    "name",
    ["readme_early_4_iter_jobs", "readme_0_0_18_6_iter_jobs", "reference_early_1_iter_jobs"],
)
async def test_the_example_of_all_jobs_finds_them(
    run: Run, client: ComputeHordeClient, spec: SpecMaker, name: str
) -> None:
    job = await client.create_job(spec("true"))
    await job.wait(timeout=SECONDS)

    printed = await asyncio.to_thread(run, _whole(name))

    assert f"{job.uuid} Completed" in printed.splitlines()


async def test_a_job_with_cross_validation_runs_twice_as_the_early_reference_says(
    client: ComputeHordeClient, state: NetworkState, web: WebServer
) -> None:
    job = await client.create_job(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN123.0",
        docker_image=state.image,
        args=["sh", "-c", "echo out > /output/out"],
        run_cross_validation=True,
        output_volumes={"/output/out": _put(web, "ours")},
        trusted_output_volumes={"/output/out": _put(web, "trusted")},
    )
    assert job.trusted_job is not None

    await asyncio.gather(job.wait(timeout=SECONDS), job.trusted_job.wait(timeout=SECONDS))

    assert [str(each.status) for each in (job, job.trusted_job)] == ["Completed", "Completed"]
    assert web.received == {"/ours": b"out\n", "/trusted": b"out\n"}


def _put(web: WebServer, name: str) -> HTTPOutputVolume:
    return HTTPOutputVolume(http_method="PUT", url=f"{web.url}/{name}")
