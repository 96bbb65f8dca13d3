"""Where everything is: the API, the admin, and the validators' socket."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView
from ninja import NinjaAPI

from compute_horde_common.contrib.django.conversation import conversation_consumer
from compute_horde_common.contrib.django.health import health_urls
from compute_horde_common.protocol.facilitator_validator import (
    CHALLENGE_FEATURE,
    MAX_FRAME_TO_FACILITATOR,
)
from compute_horde_common.protocol.live import JOB_CONTROL
from facilitator.api import auth, errors, jobs, live
from facilitator.links.validator import converse

FRAMES_WAITING = 1024
"""A validator that comes back says the output of all its jobs at once."""

api = NinjaAPI(
    title="ComputeHorde facilitator",
    version="1",
    description="Submit signed jobs, and see what becomes of them.",
    openapi_url="/api/v1/openapi.json",
    docs_url="/api/v1/docs",
    parser=errors.JsonBody(),
    urls_namespace="api",
)
api.add_router("/auth", auth.router)
api.add_router("/api/v1", jobs.router)
api.add_router("/api/v1", live.router)
errors.install(api)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="/admin/")),
    *health_urls,
    path("admin/", admin.site.urls),
    path("", api.urls),
]
_validator_socket = conversation_consumer(
    converse,
    max_frame=MAX_FRAME_TO_FACILITATOR,
    queue_size=FRAMES_WAITING,
    subprotocols=[JOB_CONTROL, CHALLENGE_FEATURE],
)
websocket_urlpatterns = [
    path("ws/v0/", _validator_socket)  # type: ignore[arg-type]  # Channels routes applications
]
handler400 = errors.bad_request
handler404 = errors.page_not_found
handler500 = errors.server_error
