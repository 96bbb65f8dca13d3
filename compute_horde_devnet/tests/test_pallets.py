from dataclasses import replace

import pytest

from compute_horde_devnet.pallets import (
    RAO_PER_UNIT,
    Account,
    Axon,
    DispatchFailed,
    Ledger,
    Rules,
    Subnet,
    burned_register,
    serve_axon,
    signed_once_more,
)

LEDGER = Ledger(
    accounts={"rich": Account(free=5 * RAO_PER_UNIT), "poor": Account(free=1)},
    subnets={12: Subnet(Rules(burn=RAO_PER_UNIT))},
).seated(12, "hotkey", "rich", block=3)

SERVED: dict[str, int | str] = {
    "netuid": 12,
    "version": 1,
    "ip": 0x7F000002,
    "port": 8000,
    "ip_type": 4,
    "protocol": 4,
    "placeholder1": 0,
    "placeholder2": 0,
}


def test_a_seat_costs_its_price() -> None:
    after = burned_register(LEDGER, "rich", 9, netuid=12, hotkey="new").ledger

    assert after.account("rich").free == 4 * RAO_PER_UNIT
    assert after.subnets[12].uid("new") == 1
    assert after.subnets[12].seats[1].registered_at == 9


def test_a_ledger_is_never_changed() -> None:
    burned_register(LEDGER, "rich", 9, netuid=12, hotkey="new")

    assert LEDGER.subnets[12].uid("new") is None


@pytest.mark.parametrize(
    ("signer", "netuid", "hotkey", "error"),
    [
        ("rich", 0, "new", "RegistrationNotPermittedOnRootSubnet"),
        ("rich", 13, "new", "SubnetNotExists"),
        ("rich", 12, "hotkey", "HotKeyAlreadyRegisteredInSubNet"),
        ("poor", 12, "hotkey", "HotKeyAlreadyRegisteredInSubNet"),
        ("poor", 12, "new", "NotEnoughBalanceToStake"),
    ],
)
def test_a_registration_fails_with_the_chains_error(
    signer: str, netuid: int, hotkey: str, error: str
) -> None:
    with pytest.raises(DispatchFailed) as failed:
        burned_register(LEDGER, signer, 9, netuid=netuid, hotkey=hotkey)

    assert failed.value.error == error


def test_somebody_elses_hotkey_cannot_be_registered() -> None:
    elsewhere = LEDGER.with_subnet(13, Subnet()).with_account("other", LEDGER.account("rich"))

    with pytest.raises(DispatchFailed, match="NonAssociatedColdKey"):
        burned_register(elsewhere, "other", 9, netuid=13, hotkey="hotkey")


def test_a_full_subnet_takes_nobody() -> None:
    full = LEDGER.with_subnet(12, replace(LEDGER.subnets[12], rules=Rules(max_neurons=1)))

    with pytest.raises(DispatchFailed, match="NoNeuronIdAvailable"):
        burned_register(full, "rich", 9, netuid=12, hotkey="new")


def test_a_served_axon_is_kept_with_its_block() -> None:
    after = serve_axon(LEDGER, "hotkey", 9, **SERVED).ledger

    assert after.subnets[12].axons["hotkey"] == Axon(9, 1, 0x7F000002, 8000, 4, 4)


@pytest.mark.parametrize(
    ("signer", "change", "error"),
    [
        ("hotkey", {"netuid": 13}, "MechanismDoesNotExist"),
        ("stranger", {}, "HotKeyNotRegisteredInNetwork"),
        ("hotkey", {"ip_type": 5}, "InvalidIpType"),
        ("hotkey", {"ip": 0}, "InvalidIpAddress"),
        ("hotkey", {"ip": 0x7F000001}, "InvalidIpAddress"),
        ("hotkey", {"ip": 0xFFFFFFFF}, "InvalidIpAddress"),
        ("hotkey", {"ip": 1 << 40}, "InvalidIpAddress"),
        ("hotkey", {"ip_type": 6, "ip": 1}, "InvalidIpAddress"),
        ("hotkey", {"port": 0}, "InvalidPort"),
    ],
)
def test_serving_fails_with_the_chains_error(
    signer: str, change: dict[str, int | str], error: str
) -> None:
    with pytest.raises(DispatchFailed) as failed:
        serve_axon(LEDGER, signer, 9, **{**SERVED, **change})

    assert failed.value.error == error


LIMITED = serve_axon(
    LEDGER.with_subnet(12, replace(LEDGER.subnets[12], rules=Rules(serving_rate_limit=5))),
    "hotkey",
    10,
    **SERVED,
).ledger


def test_serving_again_too_soon_fails() -> None:
    with pytest.raises(DispatchFailed, match="ServingRateLimitExceeded"):
        serve_axon(LIMITED, "hotkey", 14, **SERVED)


def test_serving_again_later_succeeds() -> None:
    assert (
        serve_axon(LIMITED, "hotkey", 15, **SERVED).ledger.subnets[12].axons["hotkey"].block == 15
    )


def test_a_failed_call_still_uses_its_nonce() -> None:
    assert signed_once_more(LEDGER, "poor").account("poor") == Account(nonce=1, free=1)
