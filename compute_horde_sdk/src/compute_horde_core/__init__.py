"""Module paths that programs written for the published SDK import from; what they name is ours, in
``compute_horde_sdk`` and ``compute_horde_common``."""
