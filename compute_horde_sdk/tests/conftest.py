from collections.abc import AsyncIterator, Callable

import pytest
from bittensor_wallet import Keypair

from compute_horde_common.clock import HandWoundClock
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass
from tests.facilitator import FakeFacilitator

VALIDATOR = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
SpecMaker = Callable[..., ComputeHordeJobSpec]
BOTH_WAYS = pytest.mark.parametrize("push", [True, False], ids=["told", "asking"])
ASKING = pytest.mark.parametrize("push", [False], ids=["asking"])


@pytest.fixture
def clock() -> HandWoundClock:
    return HandWoundClock()


@pytest.fixture
def facilitator(clock: HandWoundClock) -> FakeFacilitator:
    return FakeFacilitator(clock)


@pytest.fixture
def push() -> bool:
    """Whether the client lets itself be told; tests set it as their parameter."""
    return True


@pytest.fixture(scope="session")
def keypair() -> Keypair:
    return Keypair.create_from_uri("//Alice")


@pytest.fixture
async def client(
    facilitator: FakeFacilitator, clock: HandWoundClock, keypair: Keypair, push: bool
) -> AsyncIterator[ComputeHordeClient]:
    async with ComputeHordeClient(
        keypair,
        VALIDATOR,
        facilitator_url="http://facilitator",
        push=push,
        clock=clock,
        transport=facilitator.transport,
    ) as opened:
        yield opened


@pytest.fixture
def spec() -> SpecMaker:
    def make(**changes: object) -> ComputeHordeJobSpec:
        members: dict[str, object] = {
            "executor_class": ExecutorClass.always_on__test,
            "job_namespace": "SN12.0",
            "docker_image": "alpine:3.20",
            "download_time_limit_sec": 10,
            "execution_time_limit_sec": 30,
            "upload_time_limit_sec": 20,
        }
        return ComputeHordeJobSpec(**(members | changes))  # type: ignore[arg-type]  # also wrong ones

    return make
