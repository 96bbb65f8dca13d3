import copy
import json
import pickle

import pytest
from pydantic import TypeAdapter

from compute_horde_sdk.v1 import ComputeHordeJobStatus as Status

PRINTED = {
    Status.SENT: "Sent",
    Status.RECEIVED: "Received",
    Status.ACCEPTED: "Accepted",
    Status.REJECTED: "Rejected",
    Status.STREAMING_READY: "Streaming Ready",
    Status.EXECUTOR_READY: "Executor Ready",
    Status.VOLUMES_READY: "Volumes Ready",
    Status.EXECUTION_DONE: "Execution Done",
    Status.COMPLETED: "Completed",
    Status.FAILED: "Failed",
    Status.HORDE_FAILED: "Horde Failed",
}


def test_every_status_is_printed_as_people_write_it(capsys: pytest.CaptureFixture[str]) -> None:
    for status in Status:
        print(status)  # noqa: T201 - what is printed is the claim

    assert capsys.readouterr().out.splitlines() == list(PRINTED.values())
    assert [f"{status}" for status in Status] == list(PRINTED.values())
    assert [f"{status!s:>15}" for status in Status] == [f"{text:>15}" for text in PRINTED.values()]
    assert "{:.4}|{}".format(Status.COMPLETED, "x") == "Comp|x"


@pytest.mark.parametrize("status", Status)
def test_a_status_equals_its_text_in_any_case_and_so_does_what_is_printed(status: Status) -> None:
    texts = [status.value, status.value.upper(), PRINTED[status], PRINTED[status].lower(), status]

    assert [status == text for text in texts] == [True] * 5
    assert [text == status for text in texts] == [True] * 5
    assert [str(status) == text for text in texts] == [True] * 5
    assert [text == str(status) for text in texts] == [True] * 5
    assert not any(status != text or text != str(status) for text in texts)
    assert str(status).lower() == status.value


@pytest.mark.parametrize("other", ["failed", "Complete", "", None, 1, Status.FAILED, b"completed"])
def test_a_status_equals_nothing_else(other: object) -> None:
    assert other != Status.COMPLETED
    assert str(Status.COMPLETED) != other
    assert not other == Status.COMPLETED  # noqa: SIM201 - the other operator


def test_statuses_are_found_in_collections() -> None:
    described = {Status.COMPLETED: "well", "failed": "badly"}

    assert described["completed"] == described[Status.COMPLETED] == "well"
    assert described[Status("FAILED")] == "badly"
    assert described[str(Status.COMPLETED)] == "well"
    assert Status.COMPLETED in {"completed", "failed"}
    assert Status.COMPLETED in ["Failed", "Completed"]
    assert "completed" in Status.end_states()
    assert len({Status.SENT, "sent", str(Status.SENT)}) == 1


def test_statuses_can_be_matched() -> None:
    def found(status: object) -> str:
        match status:
            case "Completed":
                return "text"
            case Status.FAILED:
                return "member"
        return "nothing"

    assert [found(Status.COMPLETED), found("failed"), found("sent")] == [
        "text",
        "member",
        "nothing",
    ]


def test_statuses_are_stored_as_their_value() -> None:
    stored = json.dumps({"status": Status.HORDE_FAILED, Status.SENT: 1})

    assert stored == '{"status": "horde_failed", "sent": 1}'
    assert Status.HORDE_FAILED.value == "horde_failed"
    assert pickle.loads(pickle.dumps(Status.SENT)) is Status.SENT  # noqa: S301 - our own
    assert copy.deepcopy(Status.SENT) is Status.SENT
    assert repr(Status.SENT) == "<ComputeHordeJobStatus.SENT: 'sent'>"


@pytest.mark.parametrize("text", ["horde_failed", "Horde Failed", "HORDE_FAILED"])
def test_a_status_is_read_from_its_text_in_any_case(text: str) -> None:
    assert Status(text) is Status.HORDE_FAILED
    assert TypeAdapter(Status).validate_json(json.dumps(text)) is Status.HORDE_FAILED


@pytest.mark.parametrize("text", ["lost", "", "HORDEFAILED", 1, None])
def test_what_is_no_status_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid ComputeHordeJobStatus"):
        Status(text)
