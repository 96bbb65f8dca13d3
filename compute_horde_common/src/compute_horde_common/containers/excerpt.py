"""The beginning and the end of a long output, in bounded memory."""


class Excerpt:
    """Keeps the first ``head_bytes`` and the last ``tail_bytes`` of what is fed to it."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def feed(self, data: bytes) -> None:
        """Adds the next piece."""
        missing = self._head_bytes - len(self._head)
        self._head += data[:missing]
        self._tail += data[missing:]
        # Twice as much is let in before it is cut, so that each byte is moved once on average.
        if len(self._tail) > 2 * self._tail_bytes:
            self._shorten()

    def text(self) -> str:
        """The kept bytes as UTF-8, with a line between them that says how many were cut."""
        self._shorten()
        if not self._cut:
            return (self._head + self._tail).decode(errors="replace")
        between = f"\n... {self._cut} bytes cut ...\n"
        head = self._head.decode(errors="replace")
        return head + between + self._tail.decode(errors="replace")

    def _shorten(self) -> None:
        excess = max(0, len(self._tail) - self._tail_bytes)
        del self._tail[:excess]
        self._cut += excess
