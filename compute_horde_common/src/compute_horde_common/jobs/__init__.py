"""What a job is: its spec, its limits, its states and how it may end. Pure values, no I/O."""
