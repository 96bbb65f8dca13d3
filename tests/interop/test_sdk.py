"""The published SDKs and ours do the same on our network, each in a Python of its own."""

import asyncio
from typing import Any

import pytest

from compute_horde_devnet.network import Network
from compute_horde_devnet.state import NetworkState
from tests.hub import REPOSITORY
from tests.interop.environments import sdk
from tests.streaming import SERVER
from tests.web_server import WebServer

pytestmark = pytest.mark.timeout(300)

VERSIONS = ("0.0.18", "0.0.19", "ours")
BEGINNING = ["sent", "received", "accepted"]
RUNNING = [*BEGINNING, "executor_ready", "volumes_ready"]
HISTORY = [*RUNNING, "execution_done", "completed"]
NOT_FOUND = ["ComputeHordeNotFoundError", "ComputeHordeError"]
TIMED_OUT = ["ComputeHordeJobTimeoutError", "ComputeHordeError", "TimeoutError"]
REFUSED = ["ComputeHordeError", "ValueError"]


def ended(stdout: str = "", **more: object) -> dict[str, object]:
    """A job that ended well."""
    return {
        "status": "completed",
        "history": HISTORY,
        "is": [True, False, False],
        "stdout": stdout,
        "stderr": "",
        "artifacts": {},
        "uploads": {},
        "error": None,
    } | more


def failed(reason: str, history: list[str]) -> dict[str, object]:
    """One that ended badly after these statuses."""
    return ended() | {
        "status": "failed",
        "history": [*history, "failed"],
        "is": [False, True, False],
        "error": ["ComputeHordeJobFailure", reason],
    }


# What each scenario of scripts/scenarios.py gives with the published SDK 0.0.19.
PUBLISHED: dict[str, Any] = {
    "everything": ended(
        '[][two words][żółć][-x][$HOME][*][quo"te\\]{żółw \n x}{}',
        stderr="err\n",
        artifacts={"/artifacts/joined": "inline web"},
        uploads={"/output/a": ['"tag"', ""], "/output/b": ['"tag"', ""]},
        refetched=[True, True, True],
    ),
    "compressed_inline": ended("a" * 99),
    "deep_imports": ["web", "bittensor", "c", "ExecutorClass"],
    "status_text": [
        *("completed", "completed", "completed", '{"status": "completed"}'),
        *(True, False, True),
    ],
    "exit_status": failed("nonzero_return_code", RUNNING),
    "missing_image": failed("download_failed", BEGINNING),
    "missing_input": failed("download_failed", [*BEGINNING, "executor_ready"]),
    "missing_output": failed("upload_failed", [*RUNNING, "execution_done"]),
    "too_slow": failed("timeout", RUNNING),
    "trusted": {
        "job": ended("same\n"),
        "details no JSON": ["ValueError"],
        "reported": "found",
        "twice": ["ComputeHordeError"],
        "unknown": NOT_FOUND,
        "not trusted": NOT_FOUND,
    },
    "status_callbacks": {
        "plain": HISTORY,
        "async": [[status, True] for status in HISTORY],
        "angry": ["RuntimeError"],
    },
    "wait_timeout": [TIMED_OUT, "completed"],
    "attempts": {
        "made": {"well": ["sent"], "badly": ["sent", "sent"]},
        "ends": ["completed", "failed"],
        "late": TIMED_OUT,
    },
    "not_found": {"job": NOT_FOUND, "uuid object": NOT_FOUND, "page": NOT_FOUND},
    "refusals": {
        "input elsewhere": ["ValueError"],
        "input prefix only": ["ValueError"],
        "output elsewhere": ["ValueError"],
        "output leaving": ["ValueError"],
        "output folder": ["ValueError"],
        "form fields of a PUT": ["ValueError"],
        "method": ["ValueError"],
        "env value": ["ValueError"],
        "arg": ["ValueError"],
        "args text": ["ValueError"],
        "limit fraction": ["ValueError"],
        "limit null": ["ValueError"],
        # Refused by the facilitator.
        "class unknown": ["ComputeHordeError"],
        "class null": ["ComputeHordeError"],
        "image empty": ["ComputeHordeError"],
        "args generator": ["TypeError"],
        "field unknown": ["TypeError"],
    },
}
# What 0.0.18 leaves to the facilitator.
IN_0_0_18: dict[str, Any] = {
    "refusals": PUBLISHED["refusals"]
    | {"output leaving": ["ComputeHordeError"], "output folder": ["ComputeHordeError"]}
}
# Where ours is meant to be another: a status is printed as people write it, and equals that text
# too; a job that failed by itself is not run again; and every refusal is a ComputeHordeError that
# is a ValueError too.
IN_OURS: dict[str, Any] = {
    "status_text": [
        *("Completed", "Completed", "completed", '{"status": "completed"}'),
        *(True, True, True),
    ],
    "trusted": PUBLISHED["trusted"] | {"details no JSON": REFUSED},
    "attempts": PUBLISHED["attempts"] | {"made": {"well": ["sent"], "badly": ["sent"]}},
    "refusals": dict.fromkeys(PUBLISHED["refusals"], REFUSED)
    | {
        # A class may be one that only the facilitator knows.
        "class unknown": ["ComputeHordeError"],
        "field unknown": ["TypeError"],
    },
}
EXPECTED = {
    "0.0.18": PUBLISHED | IN_0_0_18,
    "0.0.19": PUBLISHED,
    "ours": PUBLISHED | IN_OURS,
}


@pytest.fixture(scope="module")
def seen(network: Network) -> dict[str, Any]:
    """What happened in all scenarios, and what the web server got, by version."""
    state = network.state
    assert state is not None

    async def run(version: str, web: WebServer) -> Any:  # noqa: ANN401 - any JSON
        web.files[f"/{version}/web.txt"] = b"web"
        given = {**_names(state), "web": f"{web.url}/{version}", "repository": REPOSITORY}
        script = await asyncio.to_thread(sdk, version)
        return await asyncio.to_thread(script.run, "scenarios.py", given)

    async def run_all() -> dict[str, Any]:
        async with WebServer() as web:
            runs = await asyncio.gather(*(run(version, web) for version in VERSIONS))
            return {**dict(zip(VERSIONS, runs, strict=True)), "web": web.received}

    return asyncio.run(run_all())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scenario", PUBLISHED)
def test_a_scenario_ends_as_it_is_meant_to(
    seen: dict[str, Any], scenario: str, version: str
) -> None:
    assert seen[version][scenario] == EXPECTED[version][scenario]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_scenario_is_overlooked(seen: dict[str, Any], version: str) -> None:
    assert set(seen[version]) == set(PUBLISHED)


@pytest.mark.parametrize("version", VERSIONS)
def test_output_files_are_sent_as_they_are_asked_for(seen: dict[str, Any], version: str) -> None:
    put, posted = (seen["web"][f"/{version}/{method}"] for method in ("put", "post"))

    assert put == b"inline web"
    field, file, end = posted.split(b"\r\n--")
    assert field.endswith(b'name="key"\r\n\r\nb')
    assert b'name="file"; filename="b"' in file
    assert file.endswith(b"\r\n\r\ninline web")
    assert end.endswith(b"--\r\n")


def test_what_catches_a_published_refusal_catches_ours() -> None:
    escaping = {
        case
        for case, errors in PUBLISHED["refusals"].items()
        if not set(errors) <= set(IN_OURS["refusals"][case])
    }

    # An unreadable list of arguments is a matter of values, not of types.
    assert escaping == {"args generator"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_job_is_streamed_with(state: NetworkState, version: str) -> None:
    script = await asyncio.to_thread(sdk, version)

    streamed = await asyncio.to_thread(
        script.run, "sdk_streaming.py", {**_names(state), "server": SERVER}
    )

    assert streamed == {
        "health": "well\n",
        "echo": "said: hello",
        "status": "completed",
        "history": [*RUNNING, "streaming_ready", *HISTORY[5:]],
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
