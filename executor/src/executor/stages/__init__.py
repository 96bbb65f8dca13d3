"""What is done for a job, one module per stage. They know nothing of the miner or of messages."""
