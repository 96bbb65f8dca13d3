# mypy: ignore-errors
"""Runs where SkyPilot is installed: what we make of its own objects. Its launch is replaced."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

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
    sky.api_status = requests
    SkyPilot("runpod").end("ch-1", ticket)
    return asked


def requests(request_ids=None, *, all_status=False, cluster_name=None):
    """What the API server tells: the launch of ``ch-1``, and what else was asked of it."""
    assert request_ids == ["ticket"] or (all_status and cluster_name == "ch-1")
    return [
        SimpleNamespace(name=name, request_id=f"id-{name}", status="SUCCEEDED", status_msg=None)
        for name in ("sky.launch", "sky.down")
    ]


def state(ticket, error):
    def job_status(name):
        raise error

    sky.api_status = requests
    sky.job_status = job_status
    return SkyPilot("runpod").state("ch-1", ticket).phase.value


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
            "not up": state("", sky.exceptions.ClusterNotUpError("preempted", cluster_status=None)),
            "not there": state("ticket", sky.exceptions.ClusterDoesNotExist("ch-1")),
            "statuses without a phase": [
                status.value for status in sky.JobStatus if status.value not in PHASES
            ],
        }
    )
)
