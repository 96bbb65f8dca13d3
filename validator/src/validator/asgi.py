"""The web process: ``daphne validator.asgi:application``."""

import os

from compute_horde_common.contrib.django.asgi import make_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")
application = make_application()
