"""Containers of the contract tests: a shell of busybox, found by its label."""

from uuid import uuid4

from compute_horde_common.containers.interface import MIB, ContainerSpec, Limits

IMAGE = "compute-horde-contract-test:latest"
OWNER = {"compute-horde-contract-test": uuid4().hex}
LIMITS = Limits(memory_bytes=64 * MIB, cpus=1.0, pids=64)
PATIENCE = 30


def shell(script: str) -> ContainerSpec:
    """One that runs a script."""
    return ContainerSpec(
        image=IMAGE,
        name=f"contract-{uuid4().hex}",
        command=("sh", "-c", script),
        limits=LIMITS,
        labels=OWNER,
    )
