import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from compute_horde_sdk._internal.comparing import difference_between
from compute_horde_sdk.v1 import (
    Comparator,
    ComputeHordeError,
    ComputeHordeJobResult,
    ComputeHordeValidationError,
    Difference,
    exact,
    json_equal,
)

Artifacts = dict[str, bytes]
HUGE = "1" + "0" * 400


def result(
    stdout: str = "", stderr: str = "", artifacts: Artifacts | None = None
) -> ComputeHordeJobResult:
    return ComputeHordeJobResult(stdout, stderr, artifacts or {})


@pytest.mark.parametrize(
    ("ours", "trusted", "difference"),
    [
        (result("a"), result("a"), None),
        (result("a", "1.2 s"), result("a", "1.3 s"), None),
        (result("same x"), result("same y"), ("stdout at character 5", "'same x'", "'same y'")),
        (result("ab"), result("a"), ("stdout at character 1", "'ab'", "'a'")),
        (
            result(artifacts={"/a": b"1", "/b": b"2"}),
            result(artifacts={"/a": b"1", "/b": b"3"}),
            ("artifacts['/b'] at byte 0", "b'2'", "b'3'"),
        ),
        (
            result(artifacts={"/a": b"1"}),
            result(),
            ("artifacts['/a']", "1 bytes", "absent"),
        ),
        (result(), result(artifacts={"/a": b""}), ("artifacts['/a']", "absent", "0 bytes")),
    ],
)
async def test_exact_results_have_the_same_stdout_and_artifacts(
    ours: ComputeHordeJobResult,
    trusted: ComputeHordeJobResult,
    difference: tuple[str, str, str] | None,
) -> None:
    found = await difference_between(exact(), ours, trusted)

    assert found == (difference and Difference(*difference))


async def test_what_is_compared_exactly_can_be_chosen() -> None:
    ours, trusted = result("x", "e", {"/a": b"1"}), result("y", "f", {"/a": b"2"})

    found = [
        await difference_between(compare, ours, trusted)
        for compare in (
            exact(stdout=False, stderr=True),
            exact(stdout=False),
            exact(artifacts=False),
        )
    ]

    assert found == [
        Difference("stderr at character 0", "'e'", "'f'"),
        Difference("artifacts['/a'] at byte 0", "b'1'", "b'2'"),
        Difference("stdout at character 0", "'x'", "'y'"),
    ]


@pytest.mark.parametrize(
    ("ours", "trusted", "difference"),
    [
        ('{"a": 1, "b": [1.0]}', '{"b": [1.0000001], "a": 1.0}', None),
        ('{"loss": [1, 2, 3.1]}', '{"loss": [1, 2, 3]}', ("$.loss[2]", "3.1", "3")),
        ('{"a": 1}', '{"a": 1, "b": 2}', ("$.b", "absent", "2")),
        ('{"a": 1, "b": 2}', '{"a": 1}', ("$.b", "2", "absent")),
        ("[1, 2]", "[1]", ("$", "2 items", "1 items")),
        ("true", "1", ("$", "True", "1")),
        ('"1"', "1", ("$", "1", "1")),
        ("null", "0", ("$", "None", "0")),
        ("NaN", "NaN", None),
        ("NaN", "1", ("$", "nan", "1")),
        ("Infinity", "1", ("$", "inf", "1")),
        (HUGE, HUGE, None),
        (f"-{HUGE}", "1", ("$", f"-{HUGE}"[:200] + "...", "1")),
        ("no JSON", "1", ("", "no JSON: Expecting value: line 1 column 1 (char 0)", "JSON")),
        ("[" * 100_000, "1", ("", "no JSON: *", "JSON")),
        ("9" * 5000, "1", ("", "no JSON: *", "JSON")),
    ],
)
async def test_json_is_compared_with_tolerance(
    ours: str, trusted: str, difference: tuple[str, str, str] | None
) -> None:
    found = await difference_between(json_equal(), result(ours), result(trusted))

    assert (found is None) == (difference is None)
    if found and difference:
        assert found.where == ("stdout: " + difference[0] if difference[0] else "stdout")
        assert found.actual == difference[1] or difference[1].endswith("*")


@pytest.mark.parametrize(
    ("compare", "are_equal"),
    [
        (json_equal(rel_tol=0.1), True),
        (json_equal(rel_tol=0.01), False),
        (json_equal(rel_tol=0, abs_tol=6), True),
        (json_equal(rel_tol=0, abs_tol=4), False),
    ],
)
async def test_tolerances_are_relative_or_absolute(compare: Comparator, are_equal: bool) -> None:
    found = await difference_between(compare, result("100"), result("105"))

    assert (found is None) == are_equal


async def test_json_may_be_that_of_an_artifact() -> None:
    compare = json_equal(where="/artifacts/a.json")
    ours, trusted = ({"/artifacts/a.json": json.dumps({"x": x}).encode()} for x in (1, 2))

    found = await difference_between(compare, result(artifacts=ours), result(artifacts=trusted))
    missing = await difference_between(compare, result(), result(artifacts=trusted))

    assert found == Difference("/artifacts/a.json: $.x", "1", "2")
    assert missing == Difference(
        "/artifacts/a.json", "there is no such artifact", "a JSON document"
    )


@pytest.mark.parametrize(
    ("said", "difference"),
    [
        (None, None),
        (True, None),
        (False, Difference("result", "differs", "the trusted miner's")),
        ("too short", Difference("result", "too short", "the trusted miner's")),
        (Difference("here", "1", "2"), Difference("here", "1", "2")),
        (
            Difference("\udc80" * 201, "1" * 201, "2"),
            Difference("?" * 200 + "...", "1" * 200 + "...", "2"),
        ),
    ],
)
async def test_a_comparator_may_be_any_function(
    said: Difference | str | bool | None, difference: Difference | None
) -> None:
    async def later(*_: ComputeHordeJobResult) -> Difference | str | bool | None:
        return said

    found = [
        await difference_between(compare, result(), result())
        for compare in (lambda *_: said, later)
    ]

    assert found == [difference, difference]


def test_comparators_that_cannot_work_are_refused() -> None:
    with pytest.raises(ComputeHordeValidationError, match="compare: must compare something"):
        exact(stdout=False, artifacts=False)
    with pytest.raises(ComputeHordeValidationError, match="rel_tol: must be a number from 0 on"):
        json_equal(rel_tol=-1)
    with pytest.raises(ComputeHordeValidationError, match="abs_tol: must be a number from 0 on"):
        json_equal(abs_tol=float("nan"))


@pytest.mark.parametrize("depth", [10, 600, 900])
@pytest.mark.parametrize(("start", "end"), [('{"a":', "}"), ("[", "]")], ids=["objects", "lists"])
async def test_a_difference_is_found_however_deep_it_is(depth: int, start: str, end: str) -> None:
    one, other = (result(start * depth + number + end * depth) for number in "12")

    found = await difference_between(json_equal(), one, other)

    assert found is not None
    assert (found.actual, found.expected) == ("1", "2")
    assert await difference_between(json_equal(), one, one) is None


async def test_a_member_that_is_not_there_is_not_one_that_says_so() -> None:
    found = await difference_between(json_equal(), result('{"a": "absent"}'), result("{}"))

    assert found == Difference("stdout: $.a", "absent", "absent")


async def test_the_first_difference_is_told() -> None:
    ours, trusted = result('{"b": [1, 2, 3], "a": 1}'), result('{"b": [1, 0, 0], "a": 1}')

    found = await difference_between(json_equal(), ours, trusted)

    assert found == Difference("stdout: $.b[1]", "2", "0")


DOCUMENTS = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


@given(DOCUMENTS, some.booleans())
async def test_equal_documents_always_match(document: object, sort: bool) -> None:
    ours, trusted = result(json.dumps(document, sort_keys=sort)), result(json.dumps(document))

    assert await difference_between(json_equal(rel_tol=0), ours, trusted) is None


@given(some.text(min_size=1), some.dictionaries(some.text(), some.binary(), max_size=3))
async def test_equal_results_always_match(stdout: str, artifacts: Artifacts) -> None:
    ours, trusted = (result(stdout, artifacts=dict(artifacts)) for _ in "12")

    assert await difference_between(exact(), ours, trusted) is None


async def test_where_nothing_was_left_behind_nothing_matches() -> None:
    with pytest.raises(ComputeHordeError, match="nothing to compare"):
        await difference_between(exact(), result(""), result(""))


class TrueOfAnotherKind:
    def __bool__(self) -> bool:
        return True


@pytest.mark.parametrize("said", [TrueOfAnotherKind(), 1, 0, b"", []])
async def test_what_is_no_verdict_accuses_nobody(said: object) -> None:
    def compare(ours: ComputeHordeJobResult, trusted: ComputeHordeJobResult) -> Any:  # noqa: ANN401
        return said

    with pytest.raises(ComputeHordeError, match="a comparator must return"):
        await difference_between(compare, result("x"), result("x"))
