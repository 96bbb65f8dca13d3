import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from compute_horde_common.protocol import facilitator_validator as fv
from compute_horde_common.protocol import live
from compute_horde_common.protocol import miner_executor as me
from compute_horde_common.protocol import validator_miner as vm
from compute_horde_common.protocol.base import Codec, MalformedMessage, encode
from tests.protocol import examples

UNIONS = {
    "facilitator_to_validator": fv.FacilitatorToValidator,
    "validator_to_facilitator": fv.ValidatorToFacilitator,
    "validator_to_miner": vm.ValidatorToMiner,
    "miner_to_validator": vm.MinerToValidator,
}


def _members(union: Any) -> set[type[BaseModel]]:  # noqa: ANN401 - a type form
    if isinstance(union, type):
        return {union}
    return set().union(
        *(_members(part) for part in get_args(union) if get_args(part) or isinstance(part, type))
    )


def test_each_sample_is_byte_for_byte_what_we_send() -> None:
    found = {path: path.read_text() for path in examples.SAMPLES.glob("*.json")}

    assert found == examples.sample_files()


@pytest.mark.parametrize("conversation", UNIONS)
def test_each_message_of_a_conversation_has_a_sample(conversation: str) -> None:
    shown = {type(message) for message in examples.CONVERSATIONS[conversation]}

    assert shown == _members(UNIONS[conversation])


@pytest.mark.parametrize("conversation", UNIONS)
def test_what_we_send_is_what_the_peer_reads(conversation: str) -> None:
    codec: Codec[BaseModel] = Codec(UNIONS[conversation])
    messages = examples.CONVERSATIONS[conversation]

    assert [codec.decode(encode(message)) for message in messages] == messages


def test_an_executor_reads_what_the_miner_passes_on() -> None:
    codec: Codec[BaseModel] = Codec(me.MinerToExecutor)
    kinds = vm.OfferJob | vm.StartJob | live.CancelJob
    passed_on = [m for m in examples.VALIDATOR_TO_MINER if isinstance(m, kinds)]

    assert [codec.decode(encode(message)) for message in passed_on] == passed_on


def test_a_miner_reads_what_an_executor_says_of_itself_and_of_a_running_job() -> None:
    codec: Codec[BaseModel] = Codec(me.ExecutorToMiner)
    said = [*examples.EXECUTOR_TO_MINER, examples.LOG, examples.JOB_PROGRESS]

    assert [codec.decode(encode(message)) for message in said] == said


@pytest.mark.parametrize(
    "frame",
    [
        {"message_type": "V0JobProgress", "percent": 100.1},
        {"message_type": "V0JobProgress", "percent": -1},
        {"message_type": "V0JobProgress", "percent": "NaN"},
        {"message_type": "V0JobProgress", "percent": 1, "text": "x" * 201},
        {"message_type": "V0JobLog", "pieces": [{"number": -1, "stream": "stdout", "text": ""}]},
        {"message_type": "V0JobLog", "pieces": [{"number": 0, "stream": "stdin", "text": ""}]},
        {
            "message_type": "V0JobLog",
            "pieces": [{"number": 0, "stream": "stdout", "text": "x" * 16_385}],
        },
        {
            "message_type": "V0JobLog",
            "pieces": [{"number": 0, "stream": "stdout", "text": "", "dropped": 1 << 63}],
        },
        {
            "message_type": "V0JobLog",
            "pieces": [{"number": 0, "stream": "stdout", "text": ""}] * 65,
        },
    ],
)
def test_what_passes_while_a_job_runs_is_bounded(frame: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        Codec[BaseModel](vm.MinerToValidator).decode(
            json.dumps({"job_uuid": examples.JOB, **frame})
        )


@given(st.text())
def test_rubbish_is_malformed_and_nothing_else(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Codec[BaseModel](vm.ValidatorToMiner).decode(text)


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ('{"message_type": "V9Unheard"}', "V9Unheard"),
        ('{"message_type": "V0AcceptJobRequest"}', "job_uuid"),
        ("[]", "frame"),
        ("", "JSON"),
    ],
)
def test_a_malformed_frame_is_refused_with_what_is_wrong(frame: str, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        Codec[BaseModel](vm.MinerToValidator).decode(frame)


def test_members_that_we_do_not_know_are_ignored() -> None:
    codec: Codec[BaseModel] = Codec(vm.MinerToValidator)

    assert codec.decode(
        f'{{"message_type": "V0AcceptJobRequest", "job_uuid": "{examples.JOB}", "new": 1}}'
    ) == vm.AcceptJob(job_uuid=examples.JOB)


def test_a_reason_that_we_do_not_know_keeps_its_text() -> None:
    codec: Codec[BaseModel] = Codec(vm.MinerToValidator)
    frame = {"message_type": "V0DeclineJobRequest", "job_uuid": examples.JOB, "reason": "tuesday"}
    text = json.dumps(frame)

    decline = codec.decode(text)

    assert isinstance(decline, vm.DeclineJob)
    assert decline.reason == "tuesday"


def test_a_status_that_we_do_not_know_is_refused_by_name() -> None:
    codec: Codec[BaseModel] = Codec(fv.ValidatorToFacilitator)

    with pytest.raises(MalformedMessage, match="status"):
        codec.decode('{"message_type": "V0JobStatusUpdate", "uuid": "x", "status": "unknown"}')


def test_the_old_names_of_a_failures_members_are_read() -> None:
    codec: Codec[BaseModel] = Codec(vm.MinerToValidator)

    report = codec.decode(
        '{"message_type": "V0JobFailedRequest", "job_uuid": "x", "error_detail": "why",'
        ' "error_type": "timeout"}'
    )

    assert isinstance(report, vm.JobFailedReport)
    assert (report.message, report.reason) == ("why", "timeout")


def test_a_spec_survives_its_way_to_the_validator() -> None:
    request = fv.JobRequest.of(examples.JOB, examples.SPEC, examples.SIGNATURE, None)

    assert Codec[fv.JobRequest](fv.JobRequest).decode(encode(request)).spec() == examples.SPEC


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("job_uuid", examples.JOB.upper()),
        ("ttl", 2_592_001),
        ("ttl", -1),
        ("timestamp", "1999-12-31T23:59:59Z"),
        ("timestamp", "2026-01-01T00:00:00"),
    ],
)
def test_a_receipt_out_of_bounds_is_refused(member: str, value: object) -> None:
    body = {**examples.STARTED.model_dump(mode="json"), member: value}

    with pytest.raises(ValidationError, match=member):
        type(examples.STARTED).model_validate(body)
