"""One example of every message. `python -m tests.protocol.examples` in the member's folder writes
the samples anew; a change of a sample is a change of the wire."""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from compute_horde_common.jobs.failures import HordeFailure, JobFailure, Rejection
from compute_horde_common.jobs.spec import JobSpec, StreamingDetails
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.jobs.uploads import SingleFilePostUpload, SingleFilePutUpload
from compute_horde_common.jobs.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    SingleFileVolume,
    ZipUrlVolume,
    combined,
)
from compute_horde_common.protocol import facilitator_validator as fv
from compute_horde_common.protocol import live, receipts
from compute_horde_common.protocol import miner_executor as me
from compute_horde_common.protocol import validator_miner as vm
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.signatures import Signature

SAMPLES = Path(__file__).parent / "samples"
JOB = "0c8f3d52-5d0e-4c3c-9f6b-2a51a2f0b7aa"
OTHER_JOB = "f3a6b1de-31cf-4b5a-8c2b-7d3f6d0a9e11"
VALIDATOR = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
MINER = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"
USER = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
HEX = "0x" + "5a" * 64
NOON = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
ONE = datetime(2026, 11, 21, 13, tzinfo=UTC)

STARTED = receipts.JobStartedReceiptPayload(
    job_uuid=JOB,
    miner_hotkey=MINER,
    validator_hotkey=VALIDATOR,
    timestamp=NOON,
    executor_class="always_on.test",
    is_organic=True,
    ttl=7,
)
ACCEPTED = receipts.JobAcceptedReceiptPayload(
    job_uuid=JOB,
    miner_hotkey=MINER,
    validator_hotkey=VALIDATOR,
    timestamp=NOON,
    time_accepted=ONE,
    ttl=60,
)
FINISHED = receipts.JobFinishedReceiptPayload(
    job_uuid=JOB,
    miner_hotkey=MINER,
    validator_hotkey=VALIDATOR,
    timestamp=ONE,
    time_started=NOON,
    time_took_us=1_234_567,
    score_str="95.000000",
    block_numbers=[1, 2],
)
SPEC = JobSpec(
    executor_class="always_on.test",
    docker_image="team/image:1",
    args=["--mode", "déjà vu"],
    env={"Z": "1", "A": "2"},
    use_gpu=True,
    artifacts_dir="/artifacts",
    download_time_limit=5,
    execution_time_limit=30,
    upload_time_limit=6,
    streaming_start_time_limit=7,
    streaming_details=StreamingDetails(public_key="PEM\n"),
    volumes=[
        InlineVolume(contents="UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="),
        ZipUrlVolume(contents="https://example.com/a.zip", relative_path="a"),
        SingleFileVolume(url="https://example.com/b", relative_path="b"),
        HuggingfaceVolume(repo_id="org/repo", allow_patterns=["*.json"]),
    ],
    uploads=[
        SingleFilePostUpload(
            url="https://example.com/", form_fields={"key": "c"}, relative_path="c"
        ),
        SingleFilePutUpload(
            url="https://example.com/d?sig=1", relative_path="d", signed_headers={"X-A": "b"}
        ),
    ],
)
SIGNATURE = Signature(
    signature_type="bittensor",
    signatory=USER,
    timestamp_ns=1_750_000_000_123_456_789,
    signature="WlpaWg==",
)
FAILURE = JobFailure(
    reason="nonzero_return_code",
    stage="execution",
    message="exit status 3",
    docker_process_exit_status=3,
    docker_process_stdout="out",
    docker_process_stderr="err",
)
HORDE_FAILURE = HordeFailure(
    reported_by="miner",
    reason="executor_disconnected",
    message="gone",
    context={"stage": "execution"},
)

CANCEL = live.CancelJob(job_uuid=JOB)
LOG = live.JobLog(
    job_uuid=JOB,
    pieces=[
        live.LogPiece(number=0, stream="stdout", text="hello\n"),
        live.LogPiece(number=1, stream="stderr", text="déjà vu\n", dropped=4096),
    ],
)
JOB_PROGRESS = live.JobProgress(job_uuid=JOB, percent=37.5, text="epoch 3 of 8")

FACILITATOR_TO_VALIDATOR: list[BaseModel] = [
    fv.AuthChallenge(nonce="0123456789abcdef"),
    fv.Response.ok(),
    fv.Response.refusal("job.not_found", "there is no such job", "send statuses of own jobs"),
    fv.JobRequest.of(JOB, SPEC, SIGNATURE, "SN12.samples"),
    fv.CheatedJob(
        signature=SIGNATURE.model_copy(update={"signature_scope": "FullRequest"}),
        job_uuid=JOB,
        trusted_job_uuid=OTHER_JOB,
        details={"why": "hashes differ"},
    ),
    CANCEL,
]
VALIDATOR_TO_FACILITATOR: list[BaseModel] = [
    fv.StaticAuthentication(public_key="8e" * 32, signature=HEX),
    fv.ChallengeAuthentication(hotkey=VALIDATOR, nonce="0123456789abcdef", signature=HEX),
    fv.Heartbeat(),
    fv.StatusUpdate(uuid=JOB, status="received"),
    fv.StatusUpdate(
        uuid=JOB,
        status="streaming_ready",
        metadata=fv.StatusMetadata(
            streaming_details=fv.StreamingServer(
                streaming_server_cert="PEM",
                streaming_server_address="203.0.113.7",
                streaming_server_port=6006,
            )
        ),
    ),
    fv.StatusUpdate(
        uuid=JOB,
        status="completed",
        metadata=fv.StatusMetadata(
            miner_response=fv.MinerResponse(
                docker_process_stderr="",
                docker_process_stdout="hello\n",
                artifacts={"/artifacts/a": "YQ=="},
                upload_results={"d": '{"headers": {"etag": "x"}, "body": ""}'},
            )
        ),
    ),
    fv.StatusUpdate(
        uuid=JOB,
        status="rejected",
        metadata=fv.StatusMetadata.of_failure(
            Rejection(rejected_by="validator", reason="no_miner_for_job", message="all are busy")
        ),
    ),
    fv.StatusUpdate(uuid=JOB, status="failed", metadata=fv.StatusMetadata.of_failure(FAILURE)),
    fv.StatusUpdate(
        uuid=JOB, status="horde_failed", metadata=fv.StatusMetadata.of_failure(HORDE_FAILURE)
    ),
    fv.MachineSpecsUpdate(
        miner_hotkey=MINER, validator_hotkey=VALIDATOR, specs={"cpu": {"count": 2}}, batch_id=JOB
    ),
    LOG,
    JOB_PROGRESS,
]
VALIDATOR_TO_MINER: list[BaseModel] = [
    vm.Authenticate(
        validator_hotkey=VALIDATOR, miner_hotkey=MINER, timestamp=1_750_000_000, signature=HEX
    ),
    vm.OfferJob(
        validator_signature=HEX,
        job_uuid=JOB,
        executor_class="always_on.test",
        docker_image="team/image:1",
        timeout_seconds=300,
        volume=combined(SPEC.volumes),
        job_started_receipt_payload=STARTED,
        job_started_receipt_signature=HEX,
        streaming_details=StreamingDetails(public_key="PEM\n", executor_ip="203.0.113.7"),
        executor_timing=vm.ExecutorTiming.of(Limits(download=5, execution=30, upload=6)),
    ),
    vm.AcceptedReceipt(payload=ACCEPTED, signature=HEX),
    vm.StartJob(
        validator_signature=HEX,
        job_uuid=JOB,
        executor_class="always_on.test",
        docker_image="team/image:1",
        docker_run_options_preset="none",
        docker_run_cmd=["--mode", "test"],
        env={"Z": "1", "A": "2"},
        artifacts_dir="/artifacts",
    ),
    vm.FinishedReceipt(payload=FINISHED, signature=HEX),
    vm.MainHotkey(),
    vm.GenericError(details="not a valid message"),
    CANCEL,
]
MINER_TO_VALIDATOR: list[BaseModel] = [
    vm.Manifest(manifest={"always_on.test": 2, "spin_up-4min.gpu-24gb": 0}),
    vm.AcceptJob(job_uuid=JOB),
    vm.DeclineJob(
        job_uuid=JOB,
        reason="busy",
        message="both slots are taken",
        receipts=[receipts.Receipt(payload=STARTED, validator_signature=HEX, miner_signature=HEX)],
    ),
    vm.ExecutorReady(job_uuid=JOB),
    vm.VolumesReady(job_uuid=JOB),
    vm.StreamingReady(
        job_uuid=JOB, public_key="PEM", ip="203.0.113.7", port=6006, miner_signature=HEX
    ),
    vm.ExecutionDone(job_uuid=JOB),
    vm.MachineSpecs(job_uuid=JOB, specs={"specs": {"cpu": {"count": 2}}}),
    vm.JobFinished(
        job_uuid=JOB,
        docker_process_stdout="hello\n",
        docker_process_stderr="",
        artifacts={"/artifacts/a": "YQ=="},
        upload_results={"d": '{"headers": {"etag": "x"}, "body": ""}'},
    ),
    vm.JobFailedReport.of(JOB, FAILURE),
    vm.HordeFailed.of(JOB, HORDE_FAILURE),
    vm.MainHotkey(main_hotkey=MINER),
    vm.UnauthorizedError(code="UNKNOWN_VALIDATOR"),
    vm.GenericError(),
    vm.LegacyExecutorFailed(job_uuid=JOB),
    vm.LegacyStreamingNotReady(job_uuid=JOB),
    LOG,
    JOB_PROGRESS,
]
# The executor's other words are those of the miner.
EXECUTOR_TO_MINER: list[BaseModel] = [
    me.HostUnfit(reasons=["the disk is full: 1 GiB free, 20 GiB needed"]),
]
RECEIPTS: list[BaseModel] = [
    receipts.Receipt(payload=payload, validator_signature=HEX, miner_signature=HEX)
    for payload in (STARTED, ACCEPTED, FINISHED)
]
CONVERSATIONS = {
    "facilitator_to_validator": FACILITATOR_TO_VALIDATOR,
    "validator_to_facilitator": VALIDATOR_TO_FACILITATOR,
    "validator_to_miner": VALIDATOR_TO_MINER,
    "miner_to_validator": MINER_TO_VALIDATOR,
    "executor_to_miner": EXECUTOR_TO_MINER,
    "receipts": RECEIPTS,
}


def sample_files() -> dict[Path, str]:
    """What each sample file has to hold."""
    return {
        SAMPLES / f"{conversation}__{number:02d}_{type(message).__name__}.json": encode(message)
        + "\n"
        for conversation, messages in CONVERSATIONS.items()
        for number, message in enumerate(messages)
    }


if __name__ == "__main__":
    for file, text in sample_files().items():
        file.write_text(text)
