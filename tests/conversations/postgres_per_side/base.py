"""Django looks for a database engine's wrapper in a module of this name."""

from django.db.backends.postgresql import base
from typing_extensions import override

from tests.conversations.sides import speaker


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection is made, or taken from the pool, for one side at a time."""

    @override
    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self.connection is not None:
            self.connection.execute(f"SET search_path TO {speaker()}")
