"""Each service's Django is set up in a process of its own; this one needs its classes alone."""

from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings

from compute_horde_common.contrib.django.embedded import EmbeddedPostgres

if not settings.configured:
    settings.configure(USE_I18N=False)
    django.setup()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server for databases of releases."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder, durable=False, dies_with_us=True)
    server.start()
    yield server
    server.stop()
