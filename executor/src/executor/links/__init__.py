"""The one conversation that the executor has."""
