"""Jobs as the services see them: taken, started, and what was said about them."""

from datetime import datetime

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.protocol.base import encode
from compute_horde_common.protocol.validator_miner import OfferJob
from miner.models import JobMessage
from miner.services import jobs
from miner.services.jobs import Attached
from tests import examples, fleet_of_rows


def taken(validator: Hotkey, at: datetime) -> OfferJob:
    """A job that was accepted."""
    offer = examples.offer(validator, at)
    answer = jobs.take(offer, encode(offer), validator=validator.ss58, socket="socket", at=at)
    assert answer == Attached(offer.job_uuid)
    return offer


def running(validator: Hotkey, at: datetime, *, job_control: bool = False) -> tuple[OfferJob, str]:
    """A job that was started, and the token of its executor."""
    fleet_of_rows.slots()
    token = fleet_of_rows.warm(at, job_control=job_control)
    offer = taken(validator, at)
    jobs.say(offer.job_uuid, examples.ready(offer), at)
    start = examples.start(offer)
    assert jobs.start(start, encode(start), validator=validator.ss58, at=at) is None
    return offer, token


def finish(offer: OfferJob, at: datetime) -> None:
    """The job's executor says everything up to its good end."""
    for message in examples.run_of(offer):
        jobs.say(offer.job_uuid, message, at)  # type: ignore[arg-type]  # all of them are steps


def kinds(offer: OfferJob) -> list[str]:
    """What was said to the validator about a job, in order."""
    return [kind for kind, _ in said(offer)]


def said(offer: OfferJob) -> list[tuple[str, str]]:
    """The same, with the frames."""
    found = JobMessage.objects.filter(job__job_uuid=offer.job_uuid)
    return list(found.values_list("kind", "text"))
