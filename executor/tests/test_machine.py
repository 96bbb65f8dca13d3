from pathlib import Path

import pytest

from executor.machine import describe_machine

LISTING = "NVIDIA H200, 570.1, 143771, 9.0, 700.00, 1980, 3201, GPU-1, 16530\\n"


def nvidia_smi(folder: Path, script: str) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


def test_every_section_is_there_on_a_host_without_a_gpu(tmp_path: Path) -> None:
    specs = describe_machine(tmp_path, gpu=False)

    assert set(specs) == {"cpu", "ram", "hard_disk", "os"}


def test_gpus_are_listed_as_the_driver_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, f"printf '{LISTING}'"))

    assert describe_machine(tmp_path, gpu=True)["gpu"] == {
        "count": 1,
        "details": [
            {
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
        ],
    }


def test_a_broken_driver_spoils_its_own_section_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", nvidia_smi(tmp_path, "exit 9"))

    specs = describe_machine(tmp_path, gpu=True)

    assert "CalledProcessError" in str(specs["gpu_scrape_error"])
    assert set(specs) == {"gpu_scrape_error", "cpu", "ram", "hard_disk", "os"}
