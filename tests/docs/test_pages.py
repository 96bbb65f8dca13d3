"""What the pages for users show works as it stands there."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from compute_horde_devnet.state import NetworkState
from tests.docs.pages import PAGES, ROOT, blocks, names
from tests.web_server import WebServer

SECONDS = 240
S3_NAMES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="my-bucket")
    yield url
    server.stop()


@pytest.fixture
def reader(state: NetworkState, s3_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who reads a page."""
    wallets = tmp_path / ".bittensor" / "wallets"
    wallets.mkdir(parents=True)
    wallet = state.client.wallet
    hotkeys = wallets / "my-wallet" / "hotkeys"
    hotkeys.mkdir(parents=True)
    (hotkeys / "my-hotkey").symlink_to(
        wallet.directory / wallet.name / "hotkeys" / wallet.hotkey_name
    )
    return {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COMPUTE_HORDE_FACILITATOR_URL": state.facilitator.url,
        "HORDE_FACILITATOR_URL": state.facilitator.url,
        "AWS_ENDPOINT_URL": s3_url,
        **S3_NAMES,
    }


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_a_page_can_be_followed_from_top_to_bottom(
    page: Path, reader: dict[str, str], state: NetworkState, web: WebServer, tmp_path: Path
) -> None:
    web.files["/dataset.json"] = b'{"numbers": [1, 2, 3]}'
    folder = tmp_path / "work"
    folder.mkdir()

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.docs.reader", str(page)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=reader,
        cwd=folder,
    )
    given = json.dumps(names(state, web.url)).encode()
    said, _ = await asyncio.wait_for(process.communicate(given), SECONDS)

    assert process.returncode == 0, said.decode()


def test_every_page_but_the_reference_shows_something_that_runs() -> None:
    quiet = {
        page.name
        for page in PAGES
        if not any(block.runs and block.kind in {"python", "sh"} for block in blocks(page))
    }

    assert quiet <= {"reference.md"}
