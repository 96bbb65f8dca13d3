"""Module paths that programs written for the published SDK import from; ours are in
``compute_horde_sdk`` and ``compute_horde_common``."""
