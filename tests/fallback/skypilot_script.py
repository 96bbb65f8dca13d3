# mypy: ignore-errors
"""Runs where SkyPilot is installed: what we make of its own objects. Its launch is replaced."""

import json
import sys
from pathlib import Path

GIVEN = json.load(sys.stdin)
sys.path[:0] = GIVEN["sources"]

import sky

from compute_horde_sdk._internal.fallback.cloud import MachineOrder
from compute_horde_sdk._internal.fallback.skypilot import PHASES, SkyPilot
from compute_horde_sdk.v1.fallback import FallbackClient, FallbackError

LAUNCHED = []


def launch(task, **options):
    LAUNCHED.append({"task": task.to_yaml_config(), **options})
    return "ticket"


def refusal(make):
    try:
        make()
    except FallbackError as error:
        return str(error)
    return None


def order(**more):
    return MachineOrder("ch-1", "user/image:tag", "sh -c true", Path(GIVEN["folder"]), **more)


def ended(ticket):
    asked = []
    sky.api_cancel = lambda tickets, **_: asked.append(["cancel", *tickets])
    sky.down = lambda name: asked.append(["down", name])
    sky.get = lambda request: request
    SkyPilot("runpod").end("ch-1", ticket)
    return asked


sky.launch = launch
clouds = {
    name: SkyPilot(name).name
    for name in ("runpod", "RunPod", "aws", "GCP", "kubernetes", "lambda", "azure", "vast")
}
runpod = SkyPilot("runpod")
tickets = [
    runpod.launch(order(accelerators=[{"RTXA6000": 1}], region="US"), 15),
    runpod.launch(order(accelerators=[{"RTX4090": 1}, {"L4": 2}], disk_size=64, ports=["8080"]), 1),
    SkyPilot("kubernetes").launch(order(cpus="8+", memory="16+"), 5),
]
print(
    json.dumps(
        {
            "version": sky.__version__,
            "clouds": clouds,
            "tickets": tickets,
            "launched": LAUNCHED,
            "unknown": refusal(lambda: FallbackClient("abacus")),
            "no key": refusal(lambda: FallbackClient("aws", api_key="x")),
            "ended": [ended("ticket"), ended("")],
            "statuses without a phase": [
                status.value for status in sky.JobStatus if status.value not in PHASES
            ],
        }
    )
)
