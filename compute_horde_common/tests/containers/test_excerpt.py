from hypothesis import given
from hypothesis import strategies as st

from compute_horde_common.containers.excerpt import Excerpt


@given(st.lists(st.binary(max_size=20)), st.integers(0, 30), st.integers(0, 30))
def test_head_and_tail_are_kept_however_it_is_cut(
    pieces: list[bytes], head: int, tail: int
) -> None:
    whole = b"".join(pieces)
    excerpt = Excerpt(head, tail)
    for piece in pieces:
        excerpt.feed(piece)

    cut = len(whole) - head - tail
    kept = (
        whole.decode(errors="replace")
        if cut <= 0
        else (
            whole[:head].decode(errors="replace")
            + f"\n... {cut} bytes cut ...\n"
            + whole[len(whole) - tail :].decode(errors="replace")
        )
    )
    assert excerpt.text() == kept
