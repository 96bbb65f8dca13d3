"""What a network on this machine is to look like."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EXECUTOR_CLASS = "always_on.test"
NETUID = 12


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What to start. ``ports`` gives services a fixed port, by name; others take a free one.

    ``die_with_parent``: the services end with the process that started them, however it ends.
    ``miner_settings``: environment variables of all miners, instead of those they would get.
    """

    data: Path
    validators: int = 1
    miners: int = 1
    slots: int = 2
    trusted: bool = False
    allow: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    block_time: float = 1.0
    die_with_parent: bool = False
    executor_class: str = EXECUTOR_CLASS
    miner_settings: Mapping[str, str] = field(default_factory=dict)


def free_port(host: str) -> int:
    """A port on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port
