"""The conversation with validators."""
