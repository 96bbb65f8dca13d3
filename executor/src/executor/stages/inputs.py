"""What goes into /volume: all volumes of a job at once, from one budget, before one deadline."""

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from compute_horde_common.clock import Clock
from compute_horde_common.jobs.failures import JobFailureReason
from compute_horde_common.jobs.timing import Deadline
from compute_horde_common.jobs.volumes import InlineVolume, SimpleVolume
from compute_horde_common.transfer.budget import Budget
from compute_horde_common.transfer.errors import (
    StorageFailed,
    TransferError,
    TransferTimedOut,
)
from compute_horde_common.transfer.tree import JobTree
from executor import wiring
from executor.config import ExecutorConfig
from executor.stages.volumes import InputRecord, Intake, Web, bring, failed, together

if TYPE_CHECKING:
    from compute_horde_common.transfer.fetch import Fetcher

RECORDS = "inputs.json"
"""Where a job reads what it got, below /specs: a list of objects like `InputRecord`."""


async def fill_volume(
    volumes: Sequence[SimpleVolume],
    tree: JobTree,
    config: ExecutorConfig,
    *,
    deadline: Deadline,
    clock: Clock,
    connect: "Callable[[ExecutorConfig], Fetcher]" = wiring.fetcher,
) -> list[InputRecord]:
    """Returns once all volumes are in ``tree.volume``, and what they are in ``tree.specs``.

    Where two volumes have the same file, the later one's is there.

    Raises:
        JobFailed: one of them cannot be had, is refused, or took too long.
        StorageFailed: this host's disk refused.
    """
    try:
        async with AsyncExitStack() as stack, clock.timeout(deadline.left(clock.now())):
            web = None
            if any(not isinstance(volume, InlineVolume) for volume in volumes):
                fetcher = await stack.enter_async_context(connect(config))
                web = Web(fetcher, partial(wiring.hub, config))
            budget = Budget(config.input_bytes, entries=config.input_files)
            intake = Intake(tree, budget, web, deadline=deadline, clock=clock)
            records = await _bring_and_place(volumes, intake)
    except (TimeoutError, TransferTimedOut):
        raise failed(JobFailureReason.TIMEOUT, "The inputs were not there in time") from None
    except StorageFailed:
        raise
    except TransferError as failure:
        raise failed(JobFailureReason.DOWNLOAD_FAILED, str(failure)) from None
    _tell(records, tree)
    return records


async def _bring_and_place(volumes: Sequence[SimpleVolume], intake: Intake) -> list[InputRecord]:
    places = await together(
        bring(volume, str(number), intake) for number, volume in enumerate(volumes)
    )
    return [record for place in places for record in await place()]


def _tell(records: Sequence[InputRecord], tree: JobTree) -> None:
    told = json.dumps([asdict(record) for record in records], indent=1)
    tree.specs.write_file(RECORDS, told.encode())
