from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.clock import SystemClock
from compute_horde_common.protocol.facilitator_validator import CHALLENGE_FEATURE
from compute_horde_common.protocol.live import JOB_CONTROL
from compute_horde_common.protocol.validator_miner import Authenticate
from validator.domain.routing import Miner
from validator.links.dialling import MinerDialler, facilitator_link
from validator.links.manifests import ask
from validator.links.office import Office

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, subprotocols: Sequence[str] = ()) -> AsyncIterator[int]:
    """The port of a websocket server that knows these subprotocols."""
    known = [Subprotocol(name) for name in subprotocols]

    def choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((name for name in offered if name in known), None)

    async with serve(handler, "127.0.0.1", 0, select_subprotocol=choose) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def ask_at(office: Office, alice: Hotkey) -> Callable[[int], Awaitable[object]]:
    dialler = MinerDialler(alice.ss58, SystemClock())
    return lambda port: ask(Miner("hot", "127.0.0.1", port), office, dialler)


async def test_a_miner_is_asked_at_its_interface_for_validators(
    ask_at: Callable[[int], Awaitable[object]], alice: Hotkey
) -> None:
    heard: list[str] = []

    async def miner(socket: ServerConnection) -> None:
        assert socket.request is not None
        heard.append(socket.request.path)
        assert socket.subprotocol is None
        hello = Authenticate.model_validate_json(await socket.recv())
        heard.append(hello.miner_hotkey)
        await socket.send(
            '{"message_type":"V0ExecutorManifestRequest","manifest":{"always_on.test":3}}'
        )
        await socket.wait_closed()

    async with listening(miner, [JOB_CONTROL]) as port:
        assert await ask_at(port) == {"always_on.test": 3}
    assert heard == [f"/v0.1/validator_interface/{alice.ss58}", "hot"]


async def test_a_miner_that_hangs_up_did_not_answer(
    ask_at: Callable[[int], Awaitable[object]],
) -> None:
    async def rude(socket: ServerConnection) -> None:
        await socket.close()

    async with listening(rude) as port:
        assert await ask_at(port) is None


async def test_a_miner_that_is_not_there_did_not_answer(
    ask_at: Callable[[int], Awaitable[object]],
) -> None:
    assert await ask_at(1) is None


@pytest.mark.parametrize(
    ("known", "challenges", "chosen"),
    [
        ((), False, None),
        (("other",), False, None),
        ((CHALLENGE_FEATURE,), True, CHALLENGE_FEATURE),
        ((CHALLENGE_FEATURE, JOB_CONTROL), True, JOB_CONTROL),
    ],
)
async def test_the_handshake_says_whether_the_facilitator_challenges_and_controls_jobs(
    known: tuple[str, ...], challenges: bool, chosen: str | None
) -> None:
    async def wait(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with (
        listening(wait, known) as port,
        facilitator_link(f"ws://127.0.0.1:{port}/ws/v0/", {}, SystemClock()) as (link, found),
    ):
        assert (found, link.subprotocol) == (challenges, chosen)


@pytest.mark.parametrize(
    ("known", "chosen"), [((), None), (("other",), None), ((JOB_CONTROL,), JOB_CONTROL)]
)
async def test_the_handshake_says_whether_a_miner_controls_jobs(
    alice: Hotkey, known: tuple[str, ...], chosen: str | None
) -> None:
    async def wait(socket: ServerConnection) -> None:
        await socket.wait_closed()

    dialler = MinerDialler(alice.ss58, SystemClock())
    async with (
        listening(wait, known) as port,
        dialler.job_link("127.0.0.1", port, "job", 5) as link,
    ):
        assert link.subprotocol == chosen
