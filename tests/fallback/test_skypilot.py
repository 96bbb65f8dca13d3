"""What SkyPilot is asked for, with SkyPilot's own objects, in an environment of its own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from compute_horde_sdk.v1.fallback import FallbackClient, FallbackError
from tests.interop.environments import ROOT, Published

SCRIPT = Path(__file__).parent / "skypilot_script.py"
SOURCES = [str(ROOT / name / "src") for name in ("compute_horde_sdk", "compute_horde_common")]


@pytest.mark.timeout(300)
async def test_skypilot_is_asked_for_the_right_machines(tmp_path: Path) -> None:
    skypilot = await asyncio.to_thread(Published("skypilot[runpod]==0.14.1").install)

    given = {"sources": SOURCES, "folder": str(tmp_path)}
    seen: dict[str, Any] = await asyncio.to_thread(skypilot.run, str(SCRIPT), given)

    common = {"name": "ch-1", "num_nodes": 1, "run": "sh -c true", "workdir": str(tmp_path)}
    image = {"docker:user/image:tag"}
    launched = seen["launched"]
    assert [{name: told["task"][name] for name in common} == common for told in launched] == [
        True
    ] * 3
    assert [
        (told["cluster_name"], told["idle_minutes_to_autostop"], told["down"]) for told in launched
    ] == [("ch-1", 15, True), ("ch-1", 1, True), ("ch-1", 5, True)]
    first, second, third = (told["task"]["resources"] for told in launched)
    assert first["infra"] == "runpod/US"
    assert first["accelerators"] == {"RTXA6000": 1}
    assert set(first["image_id"].values()) == image
    assert first["disk_size"] == 256
    assert sorted(str(each["accelerators"]) for each in second["any_of"]) == [
        "{'L4': 2}",
        "{'RTX4090': 1}",
    ]
    assert {each["disk_size"] for each in second["any_of"]} == {64}
    assert (third["infra"], third["cpus"], third["memory"]) == ("kubernetes", "8+", "16+")
    assert seen["tickets"] == ["ticket"] * 3
    assert set(seen["clouds"].values()) == {
        *("runpod", "aws", "gcp", "kubernetes", "lambda", "azure", "vast")
    }
    assert "kubernetes" in seen["unknown"]
    assert "api_key is no option of aws" in seen["no key"]
    assert seen["statuses without a phase"] == []
    assert seen["ended"] == [
        [["cancel", "ticket"], ["down", "ch-1"]],
        [["cancel", "id-sky.launch"], ["down", "ch-1"]],
    ]
    assert (seen["not up"], seen["not there"]) == ("gone", "gone")


def test_without_skypilot_the_error_says_what_to_install() -> None:
    with pytest.raises(FallbackError, match=r"compute-horde-sdk\[fallback\]") as missing:
        FallbackClient("runpod")

    assert isinstance(missing.value, ModuleNotFoundError)
