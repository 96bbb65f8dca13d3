"""The container that a job runs in: what it may use, what it sees of the host, and how it is
called. All else is closed by `ContainerSpec`'s own defaults: no network, no capabilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from compute_horde_common.containers.interface import MIB, ContainerSpec, Limits, Mount
from compute_horde_common.containers.labels import JOB_LABEL, OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec
from compute_horde_common.jobs.paths import absolute_directory
from compute_horde_common.transfer.tree import Folder, JobTree
from executor.config import ExecutorConfig

VOLUME = "/volume"
OUTPUT = "/output"
SCRIPT = "/script.py"

_GB = 10**9
_SCRIPT_FILE = "script.py"
_HOST_SHARE = 0.75
_PIDS = 1024
_PIDS_WITH_GPU = 4096


@dataclass(frozen=True, slots=True)
class Host:
    """How large this machine is."""

    memory_bytes: int
    cpus: int


@dataclass(frozen=True, slots=True)
class Program:
    """What a job runs, as its author said it."""

    image: str
    arguments: tuple[str, ...]
    env: Mapping[str, str]
    script: str | None = None
    artifacts_dir: str = ""


def limits_for(promised: ExecutorClassSpec, config: ExecutorConfig, host: Host) -> Limits:
    """What a job of a class may use here: what the class promises, else what the executor was
    given, else this host's share. Never more than the host has.
    """
    share = config.memory_bytes or int(host.memory_bytes * _HOST_SHARE)
    memory = promised.ram_gb * _GB if promised.ram_gb else share
    cpus = promised.cpu_cores or config.cpus or host.cpus
    memory = min(memory, host.memory_bytes)
    return Limits(
        memory_bytes=memory,
        cpus=min(cpus, host.cpus),
        pids=_PIDS_WITH_GPU if promised.has_gpu else _PIDS,
        shm_bytes=memory // 2 if promised.has_gpu else 64 * MIB,
    )


def container_for(
    program: Program,
    tree: JobTree,
    config: ExecutorConfig,
    *,
    job_uuid: str,
    limits: Limits,
    gpus: Literal["none", "all"],
) -> ContainerSpec:
    """The container of a job whose files are in ``tree``; writes the job's script there, if any.

    Raises:
        ValueError: the artifacts directory is no place in a container.
    """
    mounts = [*_folders(program.artifacts_dir, tree)]
    command = program.arguments
    if program.script is not None:
        mounts.append(_script(program.script, tree))
        command = command or ("python", SCRIPT)
    return ContainerSpec(
        image=program.image,
        name=f"ch-{config.token}-job",
        limits=limits,
        command=command,
        env=program.env,
        mounts=tuple(mounts),
        gpus=gpus,
        labels={OWNER_LABEL: config.owner, TOKEN_LABEL: config.token, JOB_LABEL: job_uuid},
    )


def artifacts_target(directory: str) -> str:
    """The artifacts directory without doubled or trailing slashes; empty for none.

    Raises:
        ValueError: it is relative, the root, or has ``..`` in it.
    """
    if not directory:
        return ""
    absolute_directory(directory)
    return "/" + "/".join(part for part in directory.split("/") if part)


def artifacts_folder(target: str, tree: JobTree) -> Folder:
    """What the job sees at ``target``: one that names /output for its artifacts gets that."""
    return {VOLUME: tree.volume, OUTPUT: tree.output}.get(target, tree.artifacts)


def _folders(artifacts_dir: str, tree: JobTree) -> list[Mount]:
    mounted = {VOLUME: tree.volume, OUTPUT: tree.output}
    if target := artifacts_target(artifacts_dir):
        mounted[target] = artifacts_folder(target, tree)
    return [Mount(str(folder.path), target) for target, folder in mounted.items()]


def _script(text: str, tree: JobTree) -> Mount:
    path = tree.path / _SCRIPT_FILE
    path.write_text(text)
    path.chmod(0o644)
    return Mount(str(path), SCRIPT, read_only=True)
