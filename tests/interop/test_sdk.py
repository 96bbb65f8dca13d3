"""The published SDKs run jobs on our network, in environments of their own."""

import asyncio
from typing import Any

import pytest

from compute_horde_devnet.state import NetworkState
from tests.interop.environments import Published
from tests.streaming import SERVER
from tests.web_server import WebServer

HISTORY = [
    "sent",
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["0.0.18", "0.0.19"])
async def test_a_published_sdk_runs_lists_and_fetches_jobs(
    state: NetworkState, web: WebServer, version: str
) -> None:
    web.files["/web.txt"] = b"web"
    sdk = await asyncio.to_thread(Published(f"compute-horde-sdk=={version}").install)

    given = {**_names(state), "web": web.url}
    seen: dict[str, Any] = await asyncio.to_thread(sdk.run, "sdk_jobs.py", given)

    full, failing = seen["full"], seen["failing"]
    assert full == {
        "uuid": full["uuid"],
        "status": "completed",
        "history": HISTORY,
        "stdout": "published --loud\n",
        "artifacts": {"/artifacts/joined": "inline web"},
        "uploads": ["/output/sent"],
        "error": None,
    }
    assert web.received == {"/sent": b"inline web"}
    assert (failing["status"], failing["error"]) == ("failed", "nonzero_return_code")
    assert seen["fetched"] == full
    assert seen["listed"] == [failing["uuid"], full["uuid"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["0.0.18", "0.0.19"])
async def test_a_published_sdk_streams(state: NetworkState, version: str) -> None:
    sdk = await asyncio.to_thread(Published(f"compute-horde-sdk=={version}").install)

    given = {**_names(state), "server": SERVER}
    seen: dict[str, Any] = await asyncio.to_thread(sdk.run, "sdk_streaming.py", given)

    assert seen == {
        "health": "well\n",
        "echo": "said: hello",
        "status": "completed",
        "history": [*HISTORY[:5], "streaming_ready", *HISTORY[5:]],
        "stdout": "serving\nstopped\n",
    }


def _names(state: NetworkState) -> dict[str, object]:
    """What a script needs to reach the network."""
    return {
        "image": state.image,
        "wallet": state.client.wallet.model_dump(mode="json"),
        "validator": state.validators[0].hotkey,
        "facilitator": state.facilitator.url + "/",
    }
