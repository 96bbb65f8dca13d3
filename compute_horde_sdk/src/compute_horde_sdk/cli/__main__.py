"""``python -m compute_horde_sdk.cli`` is ``horde``."""

from compute_horde_sdk.cli import main

main()
