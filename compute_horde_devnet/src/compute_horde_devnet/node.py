"""A chain node for development: the live chain's JSON-RPC and metadata, a few modelled pallets.

``python -m compute_horde_devnet.node --port 9944 --netuid 12 --block-time 1``. State lives in
memory. What is not modelled is refused, never accepted in silence.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from compute_horde_devnet.chain_node.genesis import DEFAULT_NETUID, Genesis
from compute_horde_devnet.chain_node.server import serve
from compute_horde_devnet.metadata import MetadataUnavailable
from compute_horde_devnet.pallets import Rules

__all__ = ["Genesis", "Rules", "main", "serve"]

FASTEST_BLOCKS = 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a node as the command line says; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        genesis = _genesis(options)
        asyncio.run(_until_told(genesis, options))
    except (MetadataUnavailable, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _until_told(genesis: Genesis, options: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    def announce(port: int) -> None:
        sys.stdout.write(f"devnet chain at ws://{options.host}:{port}\n")
        sys.stdout.flush()

    with suppress(asyncio.CancelledError):
        await serve(
            genesis,
            host=options.host,
            port=options.port,
            block_time=max(FASTEST_BLOCKS, options.block_time),
            ready=announce,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compute_horde_devnet.node", description="A Bittensor chain for development."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=9944, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--netuid", type=int, action="append", help=f"a subnet that exists ({DEFAULT_NETUID})"
    )
    parser.add_argument("--block-time", type=float, default=1.0, help="seconds (%(default)s)")
    parser.add_argument(
        "--serving-rate-limit", type=int, default=0, help="blocks between announcements (0: none)"
    )
    for option, value, meaning in (
        ("--stake", "HOTKEY=ALPHA", "stake that a hotkey is born with"),
        ("--register", "HOTKEY=COLDKEY", "a neuron of every subnet; uids in this order"),
        ("--fund", "SS58=TAO", "balance that an account is born with"),
    ):
        parser.add_argument(
            option, metavar=value, type=_pair, action="append", default=[], help=meaning
        )
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _genesis(options: argparse.Namespace) -> Genesis:
    return Genesis(
        netuids=tuple(options.netuid or [DEFAULT_NETUID]),
        funds={address: float(tao) for address, tao in options.fund},
        stakes={hotkey: float(alpha) for hotkey, alpha in options.stake},
        registered=tuple(options.register),
        rules=replace(Rules(), serving_rate_limit=options.serving_rate_limit),
    )


if __name__ == "__main__":
    sys.exit(main())
