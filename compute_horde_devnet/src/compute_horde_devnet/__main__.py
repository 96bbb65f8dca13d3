"""``python -m compute_horde_devnet``: see `cli`."""

from compute_horde_devnet.cli import app

app(prog_name="./dev")
