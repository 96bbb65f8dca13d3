"""Run jobs on ComputeHorde from Python. Import `compute_horde_sdk.v1`; the rest may change."""
