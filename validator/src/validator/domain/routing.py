"""Which miner gets a job. Unknown is not zero: a miner that never told what it offers may be
asked, after those that did; one that said it has no executor of the class never is."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

MANIFEST_LIFETIME = timedelta(hours=1)
"""A manifest that could not be renewed for so long says nothing any more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """How many executors of each class a miner said that it has, and when."""

    counts: Mapping[str, int]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Miner:
    """A miner of the subnet, as far as routing looks at it.

    ``manifest`` is ``None`` for one that never answered. ``dialable`` says whether its announced
    address is one that we are willing to connect to.
    """

    hotkey: str
    host: str
    port: int
    manifest: Manifest | None = None
    last_offer_at: datetime | None = None
    dialable: bool = True


class Obstacle(StrEnum):
    """Why a miner was passed over. Values are read by people, in a rejection's context."""

    TRIED = "was tried already"
    PRIVATE_ADDRESS = "its address is not a public one"
    NOT_OFFERED = "offers no executor of this class"
    ALL_BUSY = "all its executors of this class run jobs of ours"


@dataclass(frozen=True, slots=True)
class Choice:
    """The miners to try, best first, and why each other one is not among them."""

    fit: tuple[Miner, ...] = ()
    passed_over: Mapping[str, Obstacle] = field(default_factory=dict)

    @property
    def may_free_up(self) -> bool:
        """Whether waiting for one of our own jobs to end may help."""
        return Obstacle.ALL_BUSY in self.passed_over.values()


TieBreak = Callable[[Miner], float]
"""A number for each miner; of miners that fit alike, the smallest is tried first."""


def candidates(
    miners: Iterable[Miner],
    executor_class: str,
    busy: Mapping[str, int],
    at: datetime,
    *,
    tie_break: TieBreak,
    tried: Collection[str] = (),
) -> Choice:
    """The miners that may run a job of a class, in the order in which to try them.

    Args:
        miners: those that serve the subnet.
        executor_class: the class that the job asks for.
        busy: jobs of that class that we have on each miner now, by hotkey; none means 0.
        at: the present moment; a manifest older than `MANIFEST_LIFETIME` counts as unknown.
        tie_break: decides between miners that fit alike.
        tried: hotkeys that were asked for this job before.
    """
    known: list[Miner] = []
    unknown: list[Miner] = []
    passed_over: dict[str, Obstacle] = {}
    for miner in miners:
        offered = executors_offered(miner, executor_class, at)
        obstacle = _obstacle(miner, offered, busy.get(miner.hotkey, 0), tried)
        if obstacle is not None:
            passed_over[miner.hotkey] = obstacle
        elif offered is None:
            unknown.append(miner)
        else:
            known.append(miner)
    fit = (*sorted(known, key=tie_break), *sorted(unknown, key=tie_break))
    return Choice(fit, passed_over)


def executors_offered(miner: Miner, executor_class: str, at: datetime) -> int | None:
    """How many executors of a class a miner has; ``None`` when nobody knows."""
    if miner.manifest is None or at - miner.manifest.fetched_at > MANIFEST_LIFETIME:
        return None
    return miner.manifest.counts.get(executor_class, 0)


def least_recently_used(miner: Miner) -> float:
    """A tie-break: who was not offered a job for the longest time comes first."""
    return miner.last_offer_at.timestamp() if miner.last_offer_at else 0.0


def _obstacle(
    miner: Miner, offered: int | None, busy: int, tried: Collection[str]
) -> Obstacle | None:
    if miner.hotkey in tried:
        return Obstacle.TRIED
    if not miner.dialable:
        return Obstacle.PRIVATE_ADDRESS
    if offered is None:
        # Nobody knows how many it has: one job at a time shows whether it has any.
        return Obstacle.ALL_BUSY if busy else None
    if offered == 0:
        return Obstacle.NOT_OFFERED
    return Obstacle.ALL_BUSY if busy >= offered else None
