"""The REST interface for users."""
