"""Run jobs on ComputeHorde from Python.

Import from ``compute_horde_sdk.v1``: its names, signatures and defaults stay as they are.
Everything below ``_internal`` may change in any release.
"""
