"""The container that a job runs in: what it may use, what it sees of the host, and how it is
called. All else is closed by `ContainerSpec`'s own defaults: no network, no capabilities, Docker's
seccomp profile, also with GPUs.
"""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from compute_horde_common.containers.image_name import ImageName
from compute_horde_common.containers.interface import MIB, ContainerSpec, Limits, Mount
from compute_horde_common.containers.labels import JOB_LABEL, OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.jobs.executor_classes import ExecutorClassSpec
from compute_horde_common.jobs.paths import absolute_directory
from compute_horde_common.transfer.tree import Folder, JobTree
from executor.config import ExecutorConfig

VOLUME = "/volume"
OUTPUT = "/output"
SPECS = "/specs"
SCRIPT = "/script.py"

_GB = 10**9
_SCRIPT_FILE = "script.py"
_HOST_SHARE = 0.75
_PIDS = 1024
_PIDS_WITH_GPU = 4096
_OPEN_FILES = 65_536
_DIES_FIRST = 1000
# Wins over the job's and the image's own wish, which NVIDIA's runtime would grant.
_VISIBLE_GPUS = "NVIDIA_VISIBLE_DEVICES"
_NO_GPUS = "void"

Gpus = Literal["none", "all"] | tuple[str, ...]


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
        nofile=_open_files(),
        fsize_bytes=config.job_disk_bytes,
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

    With ``gpus`` it gets those that the executor was given, all of them if it was given none.

    Raises:
        ValueError: the artifacts directory is no place in a container, or the image has no name.
    """
    leased: Gpus = (config.gpus or "all") if gpus == "all" else "none"
    mounts = [*_folders(program.artifacts_dir, tree)]
    command = program.arguments
    if program.script is not None:
        mounts.append(_script(program.script, tree))
        command = command or ("python", SCRIPT)
    return ContainerSpec(
        # By its full name, which is never taken for the id of another image.
        image=ImageName.parse(program.image).full,
        name=f"ch-{config.token}-job",
        limits=limits,
        command=command,
        env={**program.env, _VISIBLE_GPUS: _visible(leased)},
        mounts=tuple(mounts),
        gpus=leased,
        labels={OWNER_LABEL: config.owner, TOKEN_LABEL: config.token, JOB_LABEL: job_uuid},
        runtime=config.runtime,
        oom_score=_DIES_FIRST,
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
    return _own_folders(tree).get(target, tree.artifacts)


def _own_folders(tree: JobTree) -> dict[str, Folder]:
    return {VOLUME: tree.volume, OUTPUT: tree.output, SPECS: tree.specs}


def _open_files() -> int:
    """As many as usual, or as this host gives: an engine without privileges cannot give more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)


def _visible(gpus: Gpus) -> str:
    match gpus:
        case "none":
            return _NO_GPUS
        case "all":
            return "all"
        case _:
            return ",".join(gpus)


def _folders(artifacts_dir: str, tree: JobTree) -> list[Mount]:
    mounted = _own_folders(tree)
    if target := artifacts_target(artifacts_dir):
        mounted[target] = artifacts_folder(target, tree)
    return [Mount(str(folder.path), target) for target, folder in mounted.items()]


def _script(text: str, tree: JobTree) -> Mount:
    path = tree.path / _SCRIPT_FILE
    path.write_text(text)
    path.chmod(0o644)
    return Mount(str(path), SCRIPT, read_only=True)
