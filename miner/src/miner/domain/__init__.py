"""What a miner decides, without knowing where its facts come from."""
