from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from executor.machine import describe_machine
from executor.nvml import Memory, Nvml
from executor.wiring import nvidia_library

LISTING = "NVIDIA H200, 570.1, 143771, 9.0, 700.00, 1980, 3201, GPU-1, 16530\\n"
H200 = {
    "name": "NVIDIA H200",
    "driver": "570.1",
    "capacity": "143771",
    "cuda": "9.0",
    "power_limit": "700.00",
    "graphics_speed": "1980",
    "memory_speed": "3201",
    "uuid": "GPU-1",
    "serial": "16530",
}


class LibraryError(Exception):
    """What the library raises."""


@dataclass
class OneSize:
    total: int = 143771 << 20


class Library(Nvml):
    """NVIDIA's library on a host with one H200."""

    NVML_CLOCK_GRAPHICS = 0
    NVML_CLOCK_MEM = 2
    NVMLError = LibraryError

    def __init__(self, *, broken: bool = False, has_serial: bool = True) -> None:
        self.open = False
        self._broken = broken
        self._has_serial = has_serial

    @override
    def nvmlInit(self) -> None:
        if self._broken:
            raise LibraryError("Driver/library version mismatch")
        self.open = True

    @override
    def nvmlShutdown(self) -> None:
        self.open = False

    @override
    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    @override
    def nvmlDeviceGetCount(self) -> int:
        return 1

    @override
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        return f"card {index}"

    @override
    def nvmlDeviceGetName(self, handle: object) -> str:
        return "NVIDIA H200"

    @override
    def nvmlDeviceGetUUID(self, handle: object) -> str:
        return "GPU-1"

    @override
    def nvmlDeviceGetSerial(self, handle: object) -> str:
        if not self._has_serial:
            raise LibraryError("Not Supported")
        return "16530"

    @override
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory:
        return OneSize()

    @override
    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> tuple[int, int]:
        return (9, 0)

    @override
    def nvmlDeviceGetPowerManagementLimit(self, handle: object) -> int:
        return 700_000

    @override
    def nvmlDeviceGetClockInfo(self, handle: object, type: int) -> int:
        return {0: 1980, 2: 3201}[type]


def nvidia_smi(folder: Path, script: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


def no_library() -> None:
    return None


def test_every_section_is_there_on_a_host_without_a_gpu(tmp_path: Path) -> None:
    specs = describe_machine(tmp_path, gpu=False)

    assert set(specs) == {"self_declared", "cpu", "ram", "hard_disk", "os"}


def test_a_machine_s_description_is_marked_as_its_own_word(tmp_path: Path) -> None:
    assert describe_machine(tmp_path, gpu=False)["self_declared"] is True


def test_a_host_without_anything_of_nvidia_has_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    specs = describe_machine(tmp_path, gpu=True, library=no_library)

    assert specs["gpu"] == {"count": 0, "details": []}


def test_gpus_are_listed_as_the_driver_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, f"printf '{LISTING}'"))

    specs = describe_machine(tmp_path, gpu=True, library=no_library)

    assert specs["gpu"] == {"count": 1, "details": [H200]}


def test_the_vendor_s_library_says_the_same_as_its_program(tmp_path: Path) -> None:
    library = Library()

    specs = describe_machine(tmp_path, gpu=True, library=lambda: library)

    assert specs["gpu"] == {"count": 1, "details": [H200]}
    assert not library.open


def test_what_a_card_does_not_know_is_said_to_be_unknown(tmp_path: Path) -> None:
    library = Library(has_serial=False)

    specs = describe_machine(tmp_path, gpu=True, library=lambda: library)

    assert specs["gpu"] == {"count": 1, "details": [{**H200, "serial": "[N/A]"}]}


def test_a_broken_library_spoils_its_own_section_only(tmp_path: Path) -> None:
    specs = describe_machine(tmp_path, gpu=True, library=lambda: Library(broken=True))

    assert specs["gpu_scrape_error"] == "OSError: NVML: Driver/library version mismatch"
    assert set(specs) == {"self_declared", "gpu_scrape_error", "cpu", "ram", "hard_disk", "os"}


def test_a_broken_driver_spoils_its_own_section_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, "exit 9"))

    specs = describe_machine(tmp_path, gpu=True, library=no_library)

    assert "CalledProcessError" in str(specs["gpu_scrape_error"])
    assert set(specs) == {"self_declared", "gpu_scrape_error", "cpu", "ram", "hard_disk", "os"}


def test_the_library_of_a_host_without_the_driver_is_none() -> None:
    assert (nvidia_library() is None) == (not Path("/dev/nvidiactl").exists())
