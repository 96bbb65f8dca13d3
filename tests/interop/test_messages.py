"""The published library reads every message that we send, and we read every one that it builds."""

import json

import pytest
from pydantic import BaseModel

from compute_horde_common.protocol import facilitator_validator as fv
from compute_horde_common.protocol import miner_executor as me
from compute_horde_common.protocol import validator_miner as vm
from compute_horde_common.protocol.base import Codec
from tests.interop.environments import ROOT, Published

SAMPLES = ROOT / "compute_horde_common" / "tests" / "protocol" / "samples"
UNIONS = {
    "facilitator_to_validator": fv.FacilitatorToValidator,
    "validator_to_facilitator": fv.ValidatorToFacilitator,
    "validator_to_miner": vm.ValidatorToMiner,
    "miner_to_validator": vm.MinerToValidator,
    "miner_to_executor": me.MinerToExecutor,
    "executor_to_miner": me.ExecutorToMiner,
}
# Said only to a peer that announced in the handshake that it knows them.
OURS_ALONE = {
    "AuthChallenge",
    "ChallengeAuthentication",
    "CancelJob",
    "HostUnfit",
    "JobLog",
    "JobProgress",
}
PASSED_ON = {"OfferJob", "StartJob"}
FROM_EXECUTORS = {
    "ExecutorReady",
    "VolumesReady",
    "StreamingReady",
    "ExecutionDone",
    "MachineSpecs",
    "JobFinished",
    "JobFailedReport",
    "HordeFailed",
}


def _frames() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(SAMPLES.glob("*.json")):
        conversation, _, name = path.stem.partition("__")
        kind = name.partition("_")[2]
        if conversation == "receipts" or kind in OURS_ALONE:
            continue
        found[path.stem] = (conversation, path.read_text())
        if kind in PASSED_ON:
            found[f"{path.stem} passed on"] = ("miner_to_executor", path.read_text())
        if kind in FROM_EXECUTORS:
            found[f"{path.stem} from an executor"] = ("executor_to_miner", path.read_text())
    return found


FRAMES = _frames()


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, str]]:
    library = Published("compute-horde==0.0.27").install()
    return dict(zip(FRAMES, library.run("library_messages.py", list(FRAMES.values())), strict=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FRAMES)
def test_the_published_library_and_we_read_each_others_messages(
    answers: dict[str, dict[str, str]], name: str
) -> None:
    conversation, ours = FRAMES[name]
    codec: Codec[BaseModel] = Codec(UNIONS[conversation])

    assert "error" not in answers[name]
    theirs = answers[name]["frame"]
    assert codec.decode(theirs) == codec.decode(ours)
    assert json.loads(theirs).get("message_type") == json.loads(ours).get("message_type")
