"""Hosts that are fit, and hosts that are not. Docker is the real one where it can be; programs of
NVIDIA are played by scripts."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typing_extensions import override

from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import EngineInfo
from executor.config import ExecutorConfig
from executor.safety import HostUnfit, check_host

GPU_CLASS = "always_on.llm.a6000"
FIT = EngineInfo(
    version="27.3.1",
    kernel="6.1.0-30-amd64",
    cgroup_version="2",
    security_options=("name=seccomp,profile=builtin", "name=cgroupns"),
    runtimes=("runc", "nvidia"),
    storage_driver="overlay2",
    operating_system="linux",
    architecture="x86_64",
    runc="v1.3.3-0-gd842d77",
)
LISTING = """GPU 0: NVIDIA RTX A6000 (UUID: GPU-aaaa)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-bbbb)
"""


class DescribedEngine(DockerEngine):
    """The real daemon, which says something else of itself."""

    def __init__(self, said: EngineInfo) -> None:
        super().__init__()
        self._said = said

    @override
    async def info(self) -> EngineInfo:
        return self._said


@dataclass
class Programs:
    """A PATH with nothing on it but scripts, and how often each was run."""

    folder: Path

    def add(self, name: str, output: str, *, status: int = 0) -> None:
        program = self.folder / name
        text = output.replace("\n", "\\n")
        program.write_text(
            f"#!/bin/sh\necho {name} >> {self.folder}/runs\nprintf '{text}'\nexit {status}\n"
        )
        program.chmod(0o755)

    def runs(self) -> list[str]:
        ran = self.folder / "runs"
        return ran.read_text().split() if ran.exists() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    programs = Programs(folder)
    programs.add("nvidia-smi", LISTING)
    programs.add("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.4\ncommit: 9b69590c")
    return programs


@pytest.fixture
def config(tmp_path: Path) -> ExecutorConfig:
    folder = tmp_path / "work"
    folder.mkdir()
    return ExecutorConfig(miner_address="ws://m", token="t", owner="o", work_dir=folder)


@pytest.fixture
def gpu_config(config: ExecutorConfig) -> ExecutorConfig:
    return replace(config, executor_class=GPU_CLASS)


async def reasons(config: ExecutorConfig, said: EngineInfo = FIT) -> tuple[str, ...]:
    async with DescribedEngine(said) as engine:
        try:
            await check_host(engine, config)
        except HostUnfit as unfit:
            return unfit.reasons
    return ()


async def test_this_host_is_fit(config: ExecutorConfig) -> None:
    async with DockerEngine() as engine:
        await check_host(engine, config)


async def test_a_fit_host_leaves_nothing_behind(config: ExecutorConfig) -> None:
    assert await reasons(config) == ()
    assert list(config.work_dir.iterdir()) == []


async def test_a_host_without_docker_says_how_to_start_it(config: ExecutorConfig) -> None:
    async with DockerEngine("unix:///no/such/socket") as engine:
        with pytest.raises(HostUnfit) as caught:
            await check_host(engine, config)

    (reason,) = caught.value.reasons
    assert reason.startswith("Docker cannot be used here: No answer from the Docker daemon")
    assert "systemctl start docker" in reason


async def test_a_full_disk_is_told(config: ExecutorConfig) -> None:
    assert await reasons(replace(config, work_dir=Path("/proc"))) == (
        (
            "/proc has 0 MiB free; jobs need at least 1024."
            " Free some, or set EXECUTOR_WORK_DIR to a larger disk."
        ),
    )


async def test_all_reasons_are_told_at_once(config: ExecutorConfig, tmp_path: Path) -> None:
    logins = tmp_path / "config.json"
    logins.write_text("{")
    wanted = replace(config, runtime="runsc", user_namespace=True, registry_credentials=logins)
    bad = replace(FIT, version="19.3.8", kernel="5.13.19", security_options=())

    assert await reasons(wanted, bad) == (
        f"REGISTRY_CREDENTIALS: {logins} is no config.json as docker login writes it.",
        "Docker is '19.3.8'; jobs need 20.10 or later. Upgrade it.",
        "Linux 5.13.19 has CVE-2022-0847, by which a job can leave its container. Upgrade it.",
        (
            "Docker runs containers without a seccomp profile. Remove seccomp-profile from"
            " /etc/docker/daemon.json, or use a kernel with CONFIG_SECCOMP_FILTER."
        ),
        (
            "JOB_RUNTIME is 'runsc', which Docker does not know; it knows nvidia, runc."
            " Add it to /etc/docker/daemon.json and restart Docker."
        ),
        (
            "JOB_USER_NAMESPACE is set, but Docker maps no users. Set userns-remap in"
            " /etc/docker/daemon.json and restart Docker, or run it rootless."
        ),
    )


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "29.1.0"])
async def test_docker_may_be_as_old_as_20_10(config: ExecutorConfig, version: str) -> None:
    assert await reasons(config, replace(FIT, version=version)) == ()


async def test_a_docker_of_unknown_age_is_refused(config: ExecutorConfig) -> None:
    (reason,) = await reasons(config, replace(FIT, version="dev"))

    assert reason == "Docker is 'dev'; jobs need 20.10 or later. Upgrade it."


async def test_a_daemon_without_seccomp_is_refused(config: ExecutorConfig) -> None:
    (reason,) = await reasons(
        config, replace(FIT, security_options=("name=seccomp,profile=unconfined",))
    )

    assert "without a seccomp profile" in reason


async def test_a_runc_with_a_hole_is_refused(config: ExecutorConfig) -> None:
    reason, _ = await reasons(config, replace(FIT, runc="v1.1.11-0-g4bccb38"))

    assert reason.startswith("runc v1.1.11-0-g4bccb38 has CVE-2024-21626")


async def test_another_runtime_than_runc_is_not_judged_by_runc(config: ExecutorConfig) -> None:
    info = replace(FIT, runc="v1.1.11-0-g4bccb38", runtimes=("runc", "runsc"))

    assert await reasons(replace(config, runtime="runsc"), info) == ()


@pytest.mark.parametrize("option", ["name=userns", "name=rootless"])
async def test_a_daemon_that_maps_users_is_fit_where_that_is_wanted(
    config: ExecutorConfig, option: str
) -> None:
    info = replace(FIT, security_options=(*FIT.security_options, option))

    assert await reasons(replace(config, user_namespace=True), info) == ()


async def test_a_host_with_gpus_is_fit(gpu_config: ExecutorConfig, programs: Programs) -> None:
    assert await reasons(replace(gpu_config, gpus=("0", "GPU-bbbb"))) == ()


async def test_an_executor_that_pretends_to_have_a_gpu_needs_none(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    assert await reasons(replace(gpu_config, no_gpu=True)) == ()
    assert programs.runs() == []


async def test_a_class_without_gpus_asks_for_none(
    config: ExecutorConfig, programs: Programs
) -> None:
    assert await reasons(replace(config, executor_class="always_on.test")) == ()
    assert programs.runs() == []


async def test_an_executor_for_any_class_needs_what_its_host_has(
    config: ExecutorConfig, programs: Programs
) -> None:
    programs.add("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.16.2")

    (reason,) = await reasons(config)

    assert reason.startswith("NVIDIA's container toolkit 1.16.2 has CVE-2025-23359")


async def test_a_driver_that_does_not_work_is_told(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    programs.add("nvidia-smi", "", status=9)

    assert await reasons(gpu_config) == (
        "nvidia-smi does not work: install NVIDIA's driver and load it (modprobe nvidia).",
    )


async def test_a_driver_without_a_gpu_is_told(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    programs.add("nvidia-smi", "No devices found.\n")

    (reason,) = await reasons(gpu_config)

    assert reason.startswith("nvidia-smi lists no GPU.")


async def test_a_leased_gpu_must_exist(gpu_config: ExecutorConfig, programs: Programs) -> None:
    assert await reasons(replace(gpu_config, gpus=("1", "2", "GPU-cccc"))) == (
        "EXECUTOR_GPUS names 2, GPU-cccc; nvidia-smi -L does not list them.",
    )


async def test_the_gpus_of_an_executor_in_a_container_are_numbered_anew(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    contained = replace(gpu_config, container="ch-executor-t")

    assert await reasons(replace(contained, gpus=("2", "3"))) == ()
    assert await reasons(replace(contained, gpus=("2", "GPU-bbbb"))) == ()


async def test_an_executor_in_a_container_sees_as_many_gpus_as_it_was_given(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    contained = replace(gpu_config, container="ch-executor-t")

    assert await reasons(replace(contained, gpus=("2", "3", "4"))) == (
        "EXECUTOR_GPUS names 2, 3, 4; nvidia-smi -L does not list them.",
    )
    assert await reasons(replace(contained, gpus=("GPU-cccc",))) == (
        "EXECUTOR_GPUS names GPU-cccc; nvidia-smi -L does not list them.",
    )


async def test_an_executor_in_a_container_without_gpus_and_toolkit_says_where_they_are_missing(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    for program in ("nvidia-smi", "nvidia-ctk"):
        (programs.folder / program).unlink()

    driver, toolkit = await reasons(replace(gpu_config, container="ch-executor-t"))

    assert driver.startswith("nvidia-smi does not work in the executor's container.")
    assert "on Docker's host" in driver
    assert "/usr/bin/nvidia-ctk, which has to be mounted" in toolkit


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.3\ncommit: 0"),
        ("nvidia-container-toolkit", "NVIDIA Container Runtime Hook version 1.17.3"),
        ("nvidia-container-cli", "cli-version: 1.17.3\nlib-version: 1.17.3"),
    ],
)
async def test_an_old_toolkit_is_refused(
    gpu_config: ExecutorConfig, programs: Programs, program: str, said: str
) -> None:
    (programs.folder / "nvidia-ctk").unlink()
    programs.add(program, said)

    assert await reasons(gpu_config) == (
        (
            "NVIDIA's container toolkit 1.17.3 has CVE-2025-23359, by which a job can leave its"
            " container. Upgrade it to 1.17.4 or later."
        ),
    )


async def test_a_toolkit_of_unknown_version_is_refused(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    programs.add("nvidia-ctk", "", status=1)

    (reason,) = await reasons(gpu_config)

    assert reason.startswith("The version of NVIDIA's container toolkit cannot be read.")


async def test_nvidia_s_programs_are_asked_once_per_boot(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    assert await reasons(gpu_config) == ()
    assert await reasons(gpu_config) == ()

    assert programs.runs() == ["nvidia-smi", "nvidia-ctk"]
    (note,) = gpu_config.work_dir.iterdir()
    assert note.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"another-boot", b"\xff\xfe" * 50])
async def test_a_note_of_another_boot_or_of_nonsense_is_no_note(
    gpu_config: ExecutorConfig, programs: Programs, content: bytes
) -> None:
    await reasons(gpu_config)
    (note,) = gpu_config.work_dir.iterdir()
    note.write_bytes(content)

    await reasons(gpu_config)

    assert programs.runs() == ["nvidia-smi", "nvidia-ctk"] * 2


async def test_a_link_in_the_note_s_place_is_not_followed(
    gpu_config: ExecutorConfig, programs: Programs, tmp_path: Path
) -> None:
    await reasons(gpu_config)
    (note,) = gpu_config.work_dir.iterdir()
    note.rename(tmp_path / "elsewhere")
    note.symlink_to(tmp_path / "elsewhere")

    await reasons(gpu_config)

    assert programs.runs() == ["nvidia-smi", "nvidia-ctk"] * 2
    assert not note.is_symlink()


async def test_other_gpus_are_asked_for_anew(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    await reasons(gpu_config)
    await reasons(replace(gpu_config, gpus=("0",)))

    assert programs.runs() == ["nvidia-smi", "nvidia-ctk"] * 2


async def test_an_unfit_host_is_looked_at_again(
    gpu_config: ExecutorConfig, programs: Programs
) -> None:
    programs.add("nvidia-smi", "", status=9)
    assert await reasons(gpu_config)
    programs.add("nvidia-smi", LISTING)

    assert await reasons(gpu_config) == ()
