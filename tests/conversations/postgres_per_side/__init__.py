"""PostgreSQL, in which each side of a conversation sees the tables of its own service only."""
