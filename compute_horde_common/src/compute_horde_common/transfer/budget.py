"""What all inputs of a job may come to: bytes, entries, and how far archives inflate."""

import threading

from compute_horde_common.transfer.errors import ArchiveRefused, BudgetSpent, TooManyEntries

MAX_ENTRIES = 20_000
MAX_RATIO = 200
RATIO_FREE_BYTES = 16 * 1024 * 1024


class Budget:
    """May be spent from several threads.

    ``limit`` is in bytes; ``entries`` counts files and the folders they are in. What comes out of
    archives may be ``ratio`` times what went into them, all archives of the job together; the first
    ``ratio_free_bytes`` are not looked at, because small texts legitimately compress well.
    """

    def __init__(
        self,
        limit: int,
        *,
        entries: int = MAX_ENTRIES,
        ratio: int = MAX_RATIO,
        ratio_free_bytes: int = RATIO_FREE_BYTES,
    ) -> None:
        self.limit = limit
        self.entries = entries
        self._ratio = ratio
        self._ratio_free_bytes = ratio_free_bytes
        self._spent = 0
        self._entries = 0
        self._packed = 0
        self._inflated = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Bytes not yet spent."""
        return self.limit - self._spent

    def require(self, size: int) -> None:
        """Raises ``BudgetSpent`` if ``size`` bytes more would be too many; spends nothing."""
        if size > self.left:
            raise BudgetSpent(self.limit)

    def spend(self, size: int) -> None:
        """Takes ``size`` bytes, or none and raises ``BudgetSpent``."""
        with self._lock:
            self.require(size)
            self._spent += size

    def give_back(self, size: int) -> None:
        """Returns bytes that were spent and have been thrown away since."""
        with self._lock:
            self._spent = max(0, self._spent - size)

    def add_entries(self, count: int) -> None:
        """Takes ``count`` files and folders, or none and raises ``TooManyEntries``."""
        with self._lock:
            if self._entries + count > self.entries:
                raise TooManyEntries(self.entries)
            self._entries += count

    def add_archive(self, size: int) -> None:
        """Says that an archive of ``size`` bytes is about to be inflated."""
        with self._lock:
            self._packed += size

    def inflate(self, size: int) -> None:
        """Spends ``size`` bytes that came out of an archive.

        Raises ``ArchiveRefused`` when the job's archives inflate too far, or ``BudgetSpent``.
        """
        self.spend(size)
        with self._lock:
            self._inflated += size
            if self._inflated > max(self._ratio_free_bytes, self._ratio * self._packed):
                raise ArchiveRefused(
                    f"The job's archives inflate to more than {self._ratio} times their own size."
                    " Send such data as it is, or let the job generate it."
                )
