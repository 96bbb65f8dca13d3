"""The two conversations of a miner: with validators, and with its executors."""
