import pytest

from validator.domain.assignments import Terms


@pytest.fixture
def terms() -> Terms:
    return Terms(reservation=7, startup=10, routing=10, allow_private=False, trusted_miner=None)
