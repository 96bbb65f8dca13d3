"""The executor: one process runs one job in one container, and is gone.

`links.miner` is the whole story of a job; `stages` are its parts: what goes in, the run, what comes
out. `machine` and `safety` look at the host, `wiring` chooses the container engine, `config` reads
the environment.
"""
