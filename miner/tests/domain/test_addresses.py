import pytest

from miner.domain.addresses import clients_address

US = "203.0.113.1"
SET = "203.0.113.2"
PEER = "203.0.113.3"


@pytest.mark.parametrize(
    ("seen_from", "configured", "beside_us", "announced", "expected"),
    [
        (PEER, SET, False, US, SET),
        ("127.0.0.1", SET, True, US, SET),
        (PEER, None, False, US, PEER),
        ("10.0.0.7", None, False, US, "10.0.0.7"),
        ("127.0.0.1", None, False, US, US),
        ("::1", None, False, US, US),
        ("172.17.0.3", None, True, US, US),
        ("172.17.0.3", None, True, None, "172.17.0.3"),
        ("127.0.0.1", None, False, None, "127.0.0.1"),
        ("executor.internal", None, False, US, "executor.internal"),
    ],
)
def test_clients_are_led_to_the_best_address_that_is_known(
    seen_from: str, configured: str | None, *, beside_us: bool, announced: str | None, expected: str
) -> None:
    found = clients_address(
        seen_from, configured=configured, beside_us=beside_us, announced=announced
    )

    assert found == expected
