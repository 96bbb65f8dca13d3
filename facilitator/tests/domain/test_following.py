from datetime import UTC, datetime, timedelta

import pytest

from facilitator.domain.following import Cursor, Event, News, events
from facilitator.domain.output import Piece
from facilitator.domain.refusals import Malformed
from facilitator.domain.views import Entry, Progress

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


ENTRIES = [Entry("sent", "", at(0)), Entry("received", "", at(2)), Entry("completed", "", at(6))]
PIECES = [Piece(0, "stdout", "a", 0, at(3)), Piece(1, "stderr", "b", 0, at(6))]
PROGRESS = Progress(40.0, "half", at(4))


def whole(**changes: object) -> News:
    fields: dict[str, object] = {
        "status": "completed",
        "entries": ENTRIES,
        "pieces": PIECES,
        "progress": PROGRESS,
        "more": False,
        "ended": True,
    }
    return News(**{**fields, **changes})  # type: ignore[arg-type]  # fields of `News`


def kinds(told: list[Event]) -> list[str]:
    return [event.kind for event in told]


def test_all_is_told_in_the_order_of_time_and_output_before_its_end() -> None:
    told = list(events(whole(), Cursor()))

    assert kinds(told) == ["status", "status", "log", "progress", "log", "status", "end"]
    assert told[-1].data == {"status": "completed"}


def test_each_event_has_the_cursor_that_knows_it() -> None:
    told = list(events(whole(progress=None), Cursor()))

    cursors = [str(event.cursor) for event in told]
    assert cursors == ["1-0-0", "2-0-0", "2-1-0", "2-2-0", "3-2-0", "3-2-0"]


def test_progress_that_is_known_is_not_told_again() -> None:
    known = list(events(whole(), Cursor()))[-1].cursor

    again = list(events(whole(entries=[], pieces=[]), known))

    assert kinds(again) == ["end"]


def test_what_came_after_the_first_pieces_waits_for_the_others() -> None:
    told = list(events(whole(pieces=PIECES[:1], more=True), Cursor()))

    assert kinds(told) == ["status", "status", "log"]


def test_a_frame_is_one_line_of_json() -> None:
    event = Event("log", Cursor(1, 2, 3), {"text": "a\nb\r\n\u2028ż"})

    frame = event.frame().decode()

    assert frame == 'id: 1-2-3\nevent: log\ndata: {"text":"a\\nb\\r\\n\u2028ż"}\n\n'


@pytest.mark.parametrize(
    "text", ["x", "1-2", "1-2-3-4", "-1-2-3", "1-2-" + "9" * 19, "\u0661-2-3", "1-2-3\n", "\0"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        Cursor.read(text)

    assert list(caught.value.fields) == ["cursor"]


def test_a_cursor_is_read_as_it_was_told() -> None:
    assert Cursor.read(str(Cursor(3, 17, 1_767_225_600_000_000))) == Cursor(
        3, 17, 1_767_225_600_000_000
    )
