from concurrent.futures import ThreadPoolExecutor

import pytest

from compute_horde_sdk._internal.sampling import is_drawn
from compute_horde_sdk.v1 import (
    AdaptiveSampling,
    ComputeHordeValidationError,
    Verdict,
    jobs_needed,
)


@pytest.mark.parametrize(
    ("sample", "cheat_rate", "jobs"),
    [
        (0.02, 1.0, 149),
        (0.02, 0.1, 1497),
        (0.02, 0.05, 2995),
        (0.05, 0.1, 598),
        (1.0, 1.0, 1),
        (1e-9, 1e-9, 2995732273553990848),
    ],
)
def test_jobs_needed_follows_the_formula(sample: float, cheat_rate: float, jobs: int) -> None:
    assert jobs_needed(sample, cheat_rate) == pytest.approx(jobs, rel=1e-9)


@pytest.mark.parametrize("shares", [(0, 1), (1.1, 1), (1, 0), (1, 1, 0), (1, 1, 1), ("1", 1)])
def test_shares_without_sense_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ComputeHordeValidationError, match="must be"):
        jobs_needed(*shares)


def test_the_rate_falls_with_matches_and_starts_again_after_a_mismatch() -> None:
    sampling = AdaptiveSampling(first=0.2, least=0.01)

    rates = []
    for verdict in [*[Verdict.MATCH] * 28, Verdict.UNDECIDED, Verdict.NOT_SAMPLED]:
        rates.append(sampling.rate)
        sampling.learn(verdict)

    assert rates[0] == 0.2
    assert rates == sorted(rates, reverse=True)
    assert sampling.rate == pytest.approx(0.02, rel=0.02)
    for _ in range(1000):
        sampling.learn(Verdict.MATCH)
    assert sampling.rate == 0.01
    sampling.learn(Verdict.MISMATCH)
    assert (sampling.rate, sampling.matches) == (0.2, 0)


def test_a_sampling_can_be_kept_as_json() -> None:
    sampling = AdaptiveSampling(first=0.5, least=0.1, confidence=0.9)
    sampling.learn(Verdict.MATCH)

    kept = AdaptiveSampling.from_json(sampling.to_json())

    assert (kept.first, kept.least, kept.confidence, kept.matches) == (0.5, 0.1, 0.9, 1)


@pytest.mark.parametrize(
    "text",
    ["", "1", "[]", '{"x": 1}', '{"first": 2}', '{"matches": -1}', '{"least": NaN}', "[" * 9999],
)
def test_what_was_not_kept_is_refused(text: str) -> None:
    with pytest.raises(ComputeHordeValidationError, match="text: is no kept AdaptiveSampling"):
        AdaptiveSampling.from_json(text)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"first": 1.5}, "first"),
        ({"first": 0.1, "least": 0.2}, "least"),
        ({"confidence": 1}, "confidence"),
        ({"matches": 0.5}, "matches"),
    ],
)
def test_rates_without_sense_are_refused(members: dict[str, float], field: str) -> None:
    with pytest.raises(ComputeHordeValidationError, match=f"{field}: must"):
        AdaptiveSampling(**members)  # type: ignore[arg-type]  # wrong ones on purpose


def test_jobs_are_drawn_as_often_as_asked_for() -> None:
    drawn = sum(is_drawn(0.25) for _ in range(20_000))

    assert 4500 < drawn < 5500
    assert not any(is_drawn(0) for _ in range(1000))
    assert all(is_drawn(1) for _ in range(1000))


def test_no_match_is_lost_between_threads() -> None:
    sampling = AdaptiveSampling()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(sampling.learn, [Verdict.MATCH] * 4000))

    assert sampling.matches == 4000
