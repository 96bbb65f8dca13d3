"""PostgreSQL, in which each side of a conversation has the tables that all services share for
itself, as it has them in a database of its own."""
