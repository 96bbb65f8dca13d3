"""What a validator sends about one job, signed."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.receipts import (
    JobAcceptedReceiptPayload,
    JobFinishedReceiptPayload,
    JobStartedReceiptPayload,
    sign_receipt,
)
from compute_horde_common.protocol.signatures import Signer, hex_signed, request_text
from compute_horde_common.protocol.validator_miner import (
    AcceptedReceipt,
    ExecutorTiming,
    FinishedReceipt,
    OfferJob,
    StartJob,
)

TTL_SECONDS: Final = 60
WORTH_NOTHING: Final = "0.000000"
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TrialJob:
    """A job that prints a word.

    Attributes:
        uuid: its own.
        executor_class: where it runs.
        image: an image that has ``echo``.
        seconds: how long it may take, all in all.
        word: what it prints.
    """

    uuid: str
    executor_class: str
    image: str
    seconds: int
    word: str


@dataclass(frozen=True, slots=True)
class Frames:
    """Everything about a job for the miner with that hotkey. Its receipts say that it is nobody's
    job and worth nothing, so that no statistics count it."""

    job: TrialJob
    miner: str
    signer: Signer

    def offer(self, at: datetime) -> OfferJob:
        """The question, with the started receipt."""
        started = JobStartedReceiptPayload(
            job_uuid=self.job.uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.signer.ss58,
            timestamp=at,
            executor_class=self.job.executor_class,
            is_organic=False,
            ttl=TTL_SECONDS,
        )
        offer = OfferJob(
            job_uuid=self.job.uuid,
            executor_class=self.job.executor_class,
            docker_image=self.job.image,
            job_started_receipt_payload=started,
            job_started_receipt_signature=sign_receipt(started, self.signer),
            executor_timing=ExecutorTiming.of(
                Limits(download=self.job.seconds, execution=self.job.seconds, upload=0)
            ),
        )
        return offer.model_copy(update={"validator_signature": self._signature(offer)})

    def start(self) -> StartJob:
        """The job itself."""
        has_gpu = executor_class(self.job.executor_class).has_gpu
        start = StartJob(
            job_uuid=self.job.uuid,
            executor_class=self.job.executor_class,
            docker_image=self.job.image,
            docker_run_options_preset="nvidia_all" if has_gpu else "none",
            docker_run_cmd=["echo", self.job.word],
        )
        return start.model_copy(update={"validator_signature": self._signature(start)})

    def accepted(self, at: datetime) -> AcceptedReceipt:
        """The receipt for the acceptance."""
        payload = JobAcceptedReceiptPayload(
            job_uuid=self.job.uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.signer.ss58,
            timestamp=at,
            time_accepted=at,
            ttl=self.job.seconds,
        )
        return AcceptedReceipt(payload=payload, signature=sign_receipt(payload, self.signer))

    def finished(self, begun: datetime, at: datetime) -> FinishedReceipt:
        """The receipt for the end."""
        payload = JobFinishedReceiptPayload(
            job_uuid=self.job.uuid,
            miner_hotkey=self.miner,
            validator_hotkey=self.signer.ss58,
            timestamp=at,
            time_started=begun,
            time_took_us=max(0, (at - begun) // _MICROSECOND),
            score_str=WORTH_NOTHING,
        )
        return FinishedReceipt(payload=payload, signature=sign_receipt(payload, self.signer))

    def _signature(self, frame: OfferJob | StartJob) -> str:
        return hex_signed(request_text(json.loads(encode(frame))), self.signer)
