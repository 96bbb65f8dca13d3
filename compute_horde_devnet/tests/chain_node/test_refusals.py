"""What the node does not take: nothing is accepted in silence."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from bittensor import ChainError, RpcSubstrate, calls
from websockets.asyncio.client import connect

from compute_horde_common.chain.bittensor import BittensorChain
from compute_horde_common.chain.interface import Address, ChainRefused
from compute_horde_common.chain.keys import Hotkey
from tests.chain_node.conftest import ALICE, BOB, CHARLIE, DAVE, LIMITS, NETUID, RunningNode


class Forger:
    """Says to be Charlie, signs as Dave."""

    ss58 = CHARLIE.ss58

    @staticmethod
    def sign(data: bytes) -> bytes:
        return DAVE.sign(data)


@pytest.fixture
async def substrate(node: RunningNode) -> AsyncIterator[RpcSubstrate]:
    opened = RpcSubstrate(node.url)
    await opened.connect()
    yield opened
    await opened.close()


async def submitted(substrate: RpcSubstrate, call: object, nonce: int | None = None) -> str:
    """What the chain answered to a call of Charlie's."""
    composed = await substrate.compose(call)  # type: ignore[no-untyped-call]  # theirs
    result = await substrate.submit(
        composed, CHARLIE._keypair, nonce=nonce, wait_for_finalization=False
    )
    return str(result.message)


def axon(port: int) -> object:
    return calls.SubtensorModule.serve_axon(
        netuid=NETUID,
        version=1,
        ip=0x7F000002,
        port=port,
        ip_type=4,
        protocol=4,
        placeholder1=0,
        placeholder2=0,
    )


async def test_a_forged_signature_is_refused(node: RunningNode) -> None:
    async with BittensorChain(node.url, NETUID, Forger(), limits=LIMITS) as chain:
        with pytest.raises(ChainRefused, match=r"(?i)signature"):
            await chain.publish_axon(Address("127.0.0.2", 8000))


async def test_a_used_nonce_is_refused(substrate: RpcSubstrate) -> None:
    assert await submitted(substrate, axon(1)) == "Success"

    assert "nonce" in (await submitted(substrate, axon(2), nonce=0)).lower()


async def test_a_nonce_to_come_is_refused(substrate: RpcSubstrate) -> None:
    assert "nonce" in (await submitted(substrate, axon(2), nonce=7)).lower()


async def test_the_same_extrinsic_cannot_be_sent_again(substrate: RpcSubstrate) -> None:
    composed = await substrate.compose(axon(1))  # type: ignore[no-untyped-call]  # theirs
    signed, name = await substrate.sign_extrinsic(composed, CHARLIE._keypair, nonce=0, period=64)
    send = ("author_submitExtrinsic", ["0x" + signed.hex()])

    assert await substrate.raw.rpc_request(*send) == name
    with pytest.raises(Exception, match=r"(?i)already imported|outdated"):
        await substrate.raw.rpc_request(*send)


async def test_a_call_that_is_not_modelled_is_refused_by_name(substrate: RpcSubstrate) -> None:
    answer = await submitted(substrate, ("System", "remark", {"remark": "0x00"}))

    assert "does not model the call System.remark" in answer


async def test_storage_that_is_not_modelled_is_refused_by_name(substrate: RpcSubstrate) -> None:
    with pytest.raises(ChainError, match=r"does not model the storage SubtensorModule\.Weights"):
        await substrate.query("SubtensorModule", "Weights", [NETUID, 0])


async def test_a_runtime_call_that_is_not_modelled_is_refused(substrate: RpcSubstrate) -> None:
    with pytest.raises(ChainError, match="does not model the runtime call"):
        await substrate.runtime_call("SubnetInfoRuntimeApi", "get_dynamic_info", [NETUID])


async def test_a_whole_map_can_be_read(substrate: RpcSubstrate) -> None:
    uids = await substrate.query_map("SubtensorModule", "Uids", [NETUID])

    assert dict(uids) == {BOB.ss58: 0, CHARLIE.ss58: 1}


async def test_many_values_can_be_read_at_once(substrate: RpcSubstrate) -> None:
    params = [[BOB.ss58], [DAVE.ss58], [ALICE.ss58]]

    accounts = await substrate.query_batch("System", "Account", params)

    assert [account["data"]["free"] for account in accounts] == [0, 0, 10 * 10**9]


async def test_all_neurons_can_be_read(substrate: RpcSubstrate) -> None:
    neurons = await substrate.runtime_call("NeuronInfoRuntimeApi", "get_neurons_lite", [NETUID])

    assert [neuron["hotkey"] for neuron in neurons] == [BOB.ss58, CHARLIE.ss58]


def request(method: object, *params: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", -32700),
        ("[" * 10_000, -32700),
        ("[]", -32600),
        ('"text"', -32600),
        ("[1]", -32600),
        ('{"id": 1, "method": "chain_getHead", "params": {"a": 1}}', -32600),
        (request(None), -32600),
        (request("system_health"), -32601),
        (request("chain_getHead", 1, 2), -32602),
        (request("chain_getBlockHash", []), -32602),
        (request("chain_getBlockHash", 1e400), -32602),
        (request("state_getStorageAt", "0x00", None), -32602),
        (request("state_getStorageAt", 7, None), -32602),
        (request("state_getStorageAt", "0x" + "00" * 32, None), 4003),
        (request("state_call", "Core_version", "0x", "0xff"), 4000),
        (request("state_call", "SubnetInfoRuntimeApi_get_metagraph", "0x"), -32602),
        (request("state_call", "SubnetInfoRuntimeApi_get_metagraph", "0x0c0000"), -32602),
        (request("account_nextIndex", "rubbish"), -32602),
        (request("author_submitExtrinsic", "0x00"), 1010),
        (request("author_submitExtrinsic", "0x"), 1010),
        (request("author_submitAndWatchExtrinsic", "rubbish"), -32602),
        (request("chain_unsubscribeNewHeads"), -32602),
    ],
)
async def test_rubbish_is_answered_with_an_error(node: RunningNode, frame: str, code: int) -> None:
    async with connect(node.url) as connection, asyncio.timeout(5):
        await connection.send(frame)
        reply = json.loads(await connection.recv())

    first = reply[0] if isinstance(reply, list) else reply
    assert first["error"]["code"] == code


async def test_a_node_survives_a_frame_that_is_too_large(
    node: RunningNode, seen_by: Callable[[Hotkey], BittensorChain]
) -> None:
    async with connect(node.url) as connection:
        await connection.send("x" * (2 << 20))
        await connection.wait_closed()

    assert (await seen_by(BOB).head()).number >= 0
