"""Artifacts as files of this machine. Their names come from a miner, which may mean harm."""

from pathlib import Path

from compute_horde_common.jobs.paths import canonical_relative_path
from compute_horde_sdk.cli.trouble import CommandFailed, WrongUsage
from compute_horde_sdk.v1 import ComputeHordeJob


def check_folder(folder: Path) -> None:
    """Makes a folder, so that a job does not run for nothing.

    Raises:
        WrongUsage: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUsage(
            f"{folder} cannot be made: {error.strerror}", "Check --save-artifacts."
        ) from error


def save(job: ComputeHordeJob, folder: Path) -> list[Path]:
    """Writes a job's artifacts into a folder, each under its name below the artifacts directory.

    Raises:
        CommandFailed: one cannot be written, or would be outside of the folder.
    """
    check_folder(folder)
    directory = f"{(job.artifacts_dir or '').rstrip('/')}/"
    found = job.result.artifacts if job.result else {}
    return [
        _saved(folder, path.removeprefix(directory).lstrip("/"), contents)
        for path, contents in sorted(found.items())
    ]


def _saved(folder: Path, name: str, contents: bytes) -> Path:
    try:
        path = folder / canonical_relative_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    except (OSError, ValueError) as error:
        raise CommandFailed(
            f"the artifact {name!r} cannot be saved: {error}", "`horde show --json` has it."
        ) from error
    return path
