"""What the services say to each other: one file per conversation. Pure values, no I/O."""
