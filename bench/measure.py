"""Numbers of processes and samples."""

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import quantiles

import psutil


def percentile(samples: list[float], percent: int) -> float:
    """The value below which ``percent`` of the samples lie."""
    return quantiles(samples, n=100, method="inclusive")[percent - 1]


def family(roots: Iterable[int]) -> list[psutil.Process]:
    """Processes and all that they started and still runs."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time so far of processes, of their children that run, and of those that have ended."""
    total = 0.0
    for process in family(roots):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def machine_cpu_seconds() -> float:
    """CPU time so far of everything on this machine."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


def memory(pid: int) -> tuple[float, float]:
    """Proportional and resident set size of a process and its children, MB."""
    pss = rss = 0.0
    for process in family([pid]):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup")
        try:
            values = dict(
                line.split(":", 1) for line in rollup.read_text().splitlines()[1:] if ":" in line
            )
        except OSError:
            continue
        pss += int(values["Pss"].split()[0]) / 1e3
        rss += int(values["Rss"].split()[0]) / 1e3
    return pss, rss


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The time so far."""
        return time.perf_counter() - self._start
