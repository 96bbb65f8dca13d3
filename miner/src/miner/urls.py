"""What the miner serves: receipts, its version, the admin, and two kinds of socket."""

from functools import cache
from importlib.metadata import version as installed_version
from typing import Final

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from compute_horde_common.contrib.django.conversation import ConsumerPipe, conversation_consumer
from compute_horde_common.contrib.django.health import health
from compute_horde_common.contrib.django.receipt_pages import receipt_urls
from compute_horde_common.protocol import miner_executor, validator_miner
from compute_horde_common.protocol.live import JOB_CONTROL
from miner.links.executor import converse_with_executor
from miner.links.validator import converse_with_validator
from miner.wiring import Ourselves, clock, signer

VALIDATOR_QUEUE: Final = 32
EXECUTOR_QUEUE: Final = 32


@require_safe
def version(_request: HttpRequest) -> JsonResponse:
    """The miner's version, in the words that the facilitator asks for."""
    found = installed_version("compute-horde-miner")
    return JsonResponse({"miner_version": found, "runner_version": found})


urlpatterns = [
    path("health", health),
    path("version", version),
    *receipt_urls(),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]


async def _with_validator(pipe: ConsumerPipe) -> None:
    await converse_with_validator(pipe, _ourselves(), clock())


async def _with_executor(pipe: ConsumerPipe) -> None:
    await converse_with_executor(pipe, signer(), clock())


@cache
def _ourselves() -> Ourselves:
    return Ourselves()


websocket_urlpatterns = [
    path(
        "v0.1/validator_interface/<str:hotkey>",
        conversation_consumer(  # type: ignore[arg-type]  # Channels routes ASGI applications
            _with_validator,
            max_frame=validator_miner.MAX_FRAME,
            queue_size=VALIDATOR_QUEUE,
            subprotocols=(JOB_CONTROL,),
        ),
    ),
    path(
        "v0.1/executor_interface/<str:token>",
        conversation_consumer(  # type: ignore[arg-type]  # likewise
            _with_executor,
            max_frame=miner_executor.MAX_FRAME,
            queue_size=EXECUTOR_QUEUE,
            subprotocols=(JOB_CONTROL,),
        ),
    ),
]
