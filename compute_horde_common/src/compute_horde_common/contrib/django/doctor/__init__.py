"""``python -m django doctor``: looks at everything that a service needs, and says what to do."""
