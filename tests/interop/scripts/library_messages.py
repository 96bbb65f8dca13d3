# mypy: ignore-errors
"""Runs in the environment of the published library: reads our frames, writes them as its own."""

import json
import sys

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.contenttypes"], DATABASES={})
django.setup()

from compute_horde import protocol_messages
from compute_horde.fv_protocol import facilitator_requests, validator_requests
from pydantic import TypeAdapter

UNIONS = {
    "validator_to_miner": protocol_messages.ValidatorToMinerMessage,
    "miner_to_validator": protocol_messages.MinerToValidatorMessage,
    "miner_to_executor": protocol_messages.MinerToExecutorMessage,
    "executor_to_miner": protocol_messages.ExecutorToMinerMessage,
    "facilitator_to_validator": (
        facilitator_requests.Response
        | facilitator_requests.V2JobRequest
        | facilitator_requests.V0JobCheated
    ),
    "validator_to_facilitator": (
        validator_requests.V0AuthenticationRequest
        | validator_requests.V0Heartbeat
        | validator_requests.JobStatusUpdate
        | validator_requests.V0MachineSpecsUpdate
    ),
}

answers = []
for conversation, frame in json.load(sys.stdin):
    adapter = TypeAdapter(UNIONS[conversation])
    try:
        answers.append({"frame": adapter.dump_json(adapter.validate_json(frame)).decode()})
    except Exception as error:  # whatever it is, it is the answer
        answers.append({"error": f"{type(error).__name__}: {error}"})
print(json.dumps(answers))
