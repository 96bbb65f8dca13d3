"""What validators and executors say, signed as they sign it."""

import json
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.live import JobLog, JobProgress, LogPiece
from compute_horde_common.protocol.receipts import (
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    JobStartedReceiptPayload,
    sign_receipt,
)
from compute_horde_common.protocol.signatures import hex_signed, request_text
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    Authenticate,
    ExecutionDone,
    ExecutorReady,
    ExecutorTiming,
    FinishedReceipt,
    JobFailedReport,
    JobFinished,
    OfferJob,
    StartJob,
    VolumesReady,
    authentication_text,
)

CLASS = "always_on.test"
BOB = Hotkey.from_uri("//Bob").ss58
Request = TypeVar("Request", OfferJob, StartJob)


def authenticate(validator: Hotkey, at: datetime, **changes: object) -> Authenticate:
    """A good authentication, but for what is changed before it is signed."""
    fields = {
        "validator_hotkey": validator.ss58,
        "miner_hotkey": BOB,
        "timestamp": int(at.timestamp()),
        **changes,
    }
    said = Authenticate.model_validate({**fields, "signature": ""})
    text = authentication_text(said.validator_hotkey, said.miner_hotkey, said.timestamp)
    return said.model_copy(update={"signature": hex_signed(text, validator)})


def offer(validator: Hotkey, at: datetime, **changes: object) -> OfferJob:
    """A good offer, but for what is changed; the receipt is signed as it stands."""
    job_uuid = str(changes.pop("job_uuid", uuid4()))
    receipt = started(validator, at, job_uuid, changes.pop("receipt", {}))
    fields = {
        "job_uuid": job_uuid,
        "executor_class": CLASS,
        "docker_image": "busybox",
        "job_started_receipt_payload": receipt,
        "job_started_receipt_signature": sign_receipt(receipt, validator),
        "executor_timing": ExecutorTiming(
            allowed_leeway=5,
            download_time_limit=10,
            execution_time_limit=20,
            upload_time_limit=30,
            streaming_start_time_limit=0,
        ),
        **changes,
    }
    return OfferJob.model_validate(fields)


def started(
    validator: Hotkey, at: datetime, job_uuid: str, changes: object
) -> JobStartedReceiptPayload:
    """A started receipt's content."""
    changed = changes if isinstance(changes, dict) else {}
    return JobStartedReceiptPayload.model_validate(
        {
            "job_uuid": job_uuid,
            "miner_hotkey": BOB,
            "validator_hotkey": validator.ss58,
            "timestamp": at,
            "executor_class": CLASS,
            "is_organic": True,
            "ttl": 7,
            **changed,
        }
    )


def start(job: OfferJob, **changes: object) -> StartJob:
    """The job that was offered."""
    return StartJob.model_validate(
        {
            "job_uuid": job.job_uuid,
            "executor_class": job.executor_class,
            "docker_image": "busybox",
            "docker_run_options_preset": "none",
            "docker_run_cmd": ["true"],
            **changes,
        }
    )


def signed(request: Request, validator: Hotkey) -> Request:
    """The request with the validator's signature."""
    text = request_text(json.loads(encode(request)))
    return request.model_copy(update={"validator_signature": hex_signed(text, validator)})


def accepted(job: OfferJob, validator: Hotkey, at: datetime) -> AcceptedReceipt:
    """The receipt for our acceptance."""
    payload = JobAcceptedReceiptPayload(
        job_uuid=job.job_uuid,
        miner_hotkey=BOB,
        validator_hotkey=validator.ss58,
        timestamp=at,
        time_accepted=at,
        ttl=100,
    )
    return AcceptedReceipt(payload=payload, signature=sign_receipt(payload, validator))


def finished(job: OfferJob, validator: Hotkey, at: datetime) -> FinishedReceipt:
    """The receipt for the job's end."""
    payload = JobFinishedReceiptPayload(
        job_uuid=job.job_uuid,
        miner_hotkey=BOB,
        validator_hotkey=validator.ss58,
        timestamp=at,
        time_started=at,
        time_took_us=1,
        score_str="1.000000",
    )
    return FinishedReceipt(payload=payload, signature=sign_receipt(payload, validator))


def ready(job: OfferJob) -> ExecutorReady:
    """The executor's first word."""
    return ExecutorReady(job_uuid=job.job_uuid, executor_token="secret")


def run_of(job: OfferJob) -> list[BaseModel]:
    """What an executor says once it has the job, when all goes well."""
    return [
        VolumesReady(job_uuid=job.job_uuid),
        ExecutionDone(job_uuid=job.job_uuid),
        JobFinished(job_uuid=job.job_uuid, docker_process_stdout="hello", docker_process_stderr=""),
    ]


def output(job: OfferJob, number: int = 0, text: str = "hello\n") -> JobLog:
    """A piece of a running job's output."""
    return JobLog(
        job_uuid=job.job_uuid, pieces=[LogPiece(number=number, stream="stdout", text=text)]
    )


def progress(job: OfferJob, percent: float) -> JobProgress:
    """How far a running job is."""
    return JobProgress(job_uuid=job.job_uuid, percent=percent, text="training")


def cancelled(job: OfferJob, **changes: object) -> JobFailedReport:
    """The report of a cancelled job."""
    return JobFailedReport.model_validate(
        {
            "job_uuid": job.job_uuid,
            "message": "The job was cancelled by its author.",
            "reason": "cancelled",
            "stage": "executor_startup",
            **changes,
        }
    )
