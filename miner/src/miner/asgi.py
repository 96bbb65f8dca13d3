"""The web process: ``daphne miner.asgi:application``."""

import os

from compute_horde_common.contrib.django.asgi import make_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "miner.settings")
application = make_application("miner.urls.websocket_urlpatterns")
