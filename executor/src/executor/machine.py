"""What the host's hardware is: self-declared, sent once with a job's result, never trusted.

Every section may fail on its own; then it is missing and ``<section>_scrape_error`` says why.
"""

import csv
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue

from executor import wiring
from executor.nvml import Nvml, gpus_of

_NVIDIA_SMI_SECONDS = 10
_GPU_FIELDS = {
    "name": "name",
    "driver_version": "driver",
    "memory.total": "capacity",
    "compute_cap": "cuda",
    "power.limit": "power_limit",
    "clocks.gr": "graphics_speed",
    "clocks.mem": "memory_speed",
    "uuid": "uuid",
    "serial": "serial",
}

Section = dict[str, JsonValue]


def describe_machine(
    disk: Path, *, gpu: bool, library: Callable[[], Nvml | None] = wiring.nvidia_library
) -> Section:
    """All sections. ``disk`` is a path on the disk that jobs use. Blocks; never raises.

    Args:
        disk: sizes are those of its file system, in KiB.
        gpu: whether to ask for GPUs at all. A host without ``nvidia-smi`` and its library has none.
        library: NVIDIA's own, which is asked first where there is one.
    """
    specs: Section = {"self_declared": True}
    if gpu:
        _add(specs, "gpu", lambda: _gpus(library()))
    _add(specs, "cpu", _cpus)
    _add(specs, "ram", _memory)
    _add(specs, "hard_disk", lambda: _disk(disk))
    _add(specs, "os", _operating_system)
    return specs


def memory_bytes() -> int:
    """The host's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_count() -> int:
    """The CPUs that this process may use, at least one."""
    return len(os.sched_getaffinity(0)) or 1


def _add(specs: Section, name: str, look: Callable[[], JsonValue]) -> None:
    try:
        specs[name] = look()
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as failure:
        specs[f"{name}_scrape_error"] = f"{type(failure).__name__}: {failure}"[:500]


def _gpus(library: Nvml | None) -> JsonValue:
    details = _listed_gpus() if library is None else gpus_of(library)
    return {"count": len(details), "details": [dict(each) for each in details]}


def _listed_gpus() -> list[dict[str, str]]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listing = subprocess.run(  # noqa: S603 - no word of it comes from outside
        [program, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
        timeout=_NVIDIA_SMI_SECONDS,
    )
    rows = csv.reader(listing.stdout.splitlines(), skipinitialspace=True)
    return [dict(zip(_GPU_FIELDS.values(), row, strict=True)) for row in rows if row]


def _cpus() -> JsonValue:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    pairs = [
        (key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)
    ]
    models = [value for key, value in pairs if key == "model name"]
    clocks: list[JsonValue] = [float(value) for key, value in pairs if key == "cpu MHz"]
    return {
        "count": os.cpu_count() or 1,
        "model": models[0] if models else platform.machine(),
        "clocks": clocks,
    }


def _memory() -> JsonValue:
    lines = Path("/proc/meminfo").read_text().splitlines()
    sizes = {
        key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in lines)
    }
    return {
        "available": sizes["MemAvailable"],
        "free": sizes["MemFree"],
        "total": sizes["MemTotal"],
        "used": sizes["MemTotal"] - sizes["MemFree"],
    }


def _disk(path: Path) -> JsonValue:
    usage = shutil.disk_usage(path)
    return {"total": usage.total // 1024, "used": usage.used // 1024, "free": usage.free // 1024}


def _operating_system() -> JsonValue:
    names = platform.freedesktop_os_release()
    return names.get("PRETTY_NAME", names["NAME"])
