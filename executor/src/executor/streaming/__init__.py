"""The door through which the author of a streaming job reaches it: TLS with pinned certificates on
the outside, the job's port 8000 on the inside, bytes between them."""
