"""A service's ASGI application: Django for HTTP, conversations for websockets."""

import django
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import http_date
from django.utils.module_loading import import_string
from typing_extensions import override


class OneHopHandler(ASGIHandler):
    """Runs middleware and view together in one thread.

    Django's own handler goes to a thread and back for each middleware and direction, which costs
    more than all of them do.
    """

    @override
    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    @override
    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await sync_to_async(self.get_response, thread_sensitive=True)(request)
        # Signatures and nonces have an age, so clients compare clocks.
        response.headers.setdefault("Date", http_date())
        return response


def make_application(websockets: str | None = None) -> ProtocolTypeRouter:
    """The application; ``DJANGO_SETTINGS_MODULE`` must be set.

    Args:
        websockets: dotted path of a list of URL patterns whose views are ASGI applications,
            imported after Django is set up.
    """
    django.setup(set_prefix=False)
    patterns = import_string(websockets) if websockets else []
    return ProtocolTypeRouter({"http": OneHopHandler(), "websocket": URLRouter(patterns)})
