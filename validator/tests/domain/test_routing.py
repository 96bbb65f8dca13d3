from datetime import datetime, timedelta

import pytest

from validator.domain.routing import (
    MANIFEST_LIFETIME,
    Manifest,
    Miner,
    Obstacle,
    candidates,
    least_recently_used,
)

CLASS = "always_on.test"


def miner(hotkey: str, at: datetime, count: int | None = None, **fields: object) -> Miner:
    manifest = None if count is None else Manifest({CLASS: count}, at)
    return Miner(hotkey=hotkey, host="192.0.2.1", port=1, manifest=manifest, **fields)  # type: ignore[arg-type]  # fields of this very class


def hotkeys(*miners: Miner, at: datetime, **options: object) -> list[str]:
    arguments = {"busy": {}, "tie_break": least_recently_used, **options}
    choice = candidates(miners, CLASS, at=at, **arguments)  # type: ignore[arg-type]  # as above
    return [found.hotkey for found in choice.fit]


def test_a_miner_known_to_fit_comes_before_one_that_never_answered(at: datetime) -> None:
    assert hotkeys(miner("silent", at), miner("known", at, 1), at=at) == ["known", "silent"]


def test_a_miner_that_offers_none_is_never_tried(at: datetime) -> None:
    choice = candidates([miner("none", at, 0)], CLASS, {}, at, tie_break=least_recently_used)

    assert (choice.fit, choice.passed_over) == ((), {"none": Obstacle.NOT_OFFERED})


def test_a_miner_that_offers_other_classes_only_is_never_tried(at: datetime) -> None:
    other = Miner("other", "192.0.2.1", 1, Manifest({"always_on.gpu-24gb": 3}, at))

    assert hotkeys(other, at=at) == []


@pytest.mark.parametrize(("busy", "fits"), [(0, True), (1, True), (2, False), (3, False)])
def test_our_own_jobs_occupy_a_miners_executors(at: datetime, busy: int, fits: bool) -> None:
    assert bool(hotkeys(miner("two", at, 2), at=at, busy={"two": busy})) is fits


def test_a_busy_miner_may_free_up(at: datetime) -> None:
    choice = candidates([miner("one", at, 1)], CLASS, {"one": 1}, at, tie_break=least_recently_used)

    assert choice.may_free_up


def test_a_miner_that_was_tried_is_passed_over(at: datetime) -> None:
    assert hotkeys(miner("a", at, 1), miner("b", at, 1), at=at, tried={"a"}) == ["b"]


def test_a_private_address_is_not_dialled(at: datetime) -> None:
    assert hotkeys(miner("home", at, 1, dialable=False), at=at) == []


def test_a_manifest_that_got_old_says_nothing_any_more(at: datetime) -> None:
    later = at + MANIFEST_LIFETIME + timedelta(seconds=1)

    assert hotkeys(miner("old-none", at, 0), at=later) == ["old-none"]


def test_of_miners_that_fit_alike_the_least_recently_used_is_first(at: datetime) -> None:
    used = miner("used", at, 1, last_offer_at=at)

    assert hotkeys(used, miner("fresh", at, 1), at=at) == ["fresh", "used"]


def test_the_tie_break_decides_among_equals_only(at: datetime) -> None:
    found = hotkeys(
        miner("silent", at),
        miner("a", at, 1),
        miner("b", at, 9),
        at=at,
        tie_break=lambda one: {"silent": 0, "b": 1, "a": 2}[one.hotkey],
    )

    assert found == ["b", "a", "silent"]
