"""One number of bytes shared by everything a job brings in, however many volumes it has."""

import threading

from compute_horde_common.transfer.errors import BudgetSpent


class Budget:
    """Bytes that may still be written. May be spent from several threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._spent = 0
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
