"""The web process: REST, admin, and the validators' socket."""

import os

from compute_horde_common.contrib.django.asgi import make_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facilitator.settings")

application = make_application("facilitator.urls.websocket_urlpatterns")
