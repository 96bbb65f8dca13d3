"""The paths at which volumes are in a job's container."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from compute_horde_sdk._internal.errors import ComputeHordeValidationError

# Linux opens no longer path, and the executor puts its own folder in front.
LONGEST_PATH = 2048


def shown(value: object) -> str:
    """A value for a message: its beginning, whatever it is."""
    try:
        return f"{value!r:.100}"
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def relative(mount_path: object, prefix: str, field: str) -> str:
    """A path without the folder that all of its kind are in.

    Raises:
        ComputeHordeValidationError: it is not in that folder, or is too long.
    """
    if not isinstance(mount_path, str) or not mount_path.startswith(prefix):
        raise ComputeHordeValidationError(field, f"the path must start with {prefix}")
    if len(mount_path.encode(errors="surrogatepass")) > LONGEST_PATH:
        raise ComputeHordeValidationError(field, f"the path is longer than {LONGEST_PATH} bytes")
    return mount_path.removeprefix(prefix)


def refuse_conflicts(name: str, is_file: Mapping[str, bool]) -> None:
    """Checks that no two paths are the same place, and that none is inside of a file.

    Raises:
        ComputeHordeValidationError: two are; it names the second.
    """
    places: dict[PurePosixPath, str] = {}
    for path in is_file:
        other = places.setdefault(PurePosixPath(path), path)
        if other != path:
            raise ComputeHordeValidationError(
                f"{name}[{shown(path)}]", f"is the same place as {shown(other)}; choose one"
            )
    for place, path in places.items():
        for above in place.parents:
            file = places.get(above)
            if file is not None and is_file[file]:
                raise ComputeHordeValidationError(
                    f"{name}[{shown(path)}]", f"is inside of {shown(file)}, which is a file"
                )
