# ruff: noqa: N802 - the names are the library's
"""GPUs as NVIDIA's library knows them, in the words of nvidia-smi."""

from collections.abc import Callable
from typing import Protocol

_NOT_KNOWN = "[N/A]"
_MIB = 1 << 20
_MILLIWATTS = 1000


class Memory(Protocol):
    """A card's memory, in bytes."""

    @property
    def total(self) -> int: ...


class Nvml(Protocol):
    """What is used of the module ``pynvml``."""

    NVML_CLOCK_GRAPHICS: int
    NVML_CLOCK_MEM: int

    @property
    def NVMLError(self) -> type[Exception]:
        """What any call may raise, e.g. when a card does not know the answer."""
        ...

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlSystemGetDriverVersion(self) -> str: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...
    def nvmlDeviceGetName(self, handle: object) -> str: ...
    def nvmlDeviceGetUUID(self, handle: object) -> str: ...
    def nvmlDeviceGetSerial(self, handle: object) -> str: ...
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...
    def nvmlDeviceGetCudaComputeCapability(self, handle: object) -> tuple[int, int]: ...
    def nvmlDeviceGetPowerManagementLimit(self, handle: object) -> int: ...
    def nvmlDeviceGetClockInfo(self, handle: object, type: int) -> int: ...  # noqa: A002


def gpus_of(nvml: Nvml) -> list[dict[str, str]]:
    """Every GPU; what a card does not know is "[N/A]".

    Raises:
        OSError: the library cannot speak to the driver.
    """
    try:
        nvml.nvmlInit()
        try:
            count = nvml.nvmlDeviceGetCount()
            return [_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as failure:
        raise OSError(f"NVML: {failure}") from failure


def _gpu(nvml: Nvml, card: object) -> dict[str, str]:
    questions: dict[str, Callable[[], str]] = {
        "name": lambda: nvml.nvmlDeviceGetName(card),
        "driver": nvml.nvmlSystemGetDriverVersion,
        "capacity": lambda: str(nvml.nvmlDeviceGetMemoryInfo(card).total // _MIB),
        "cuda": lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(card))),
        "power_limit": lambda: f"{nvml.nvmlDeviceGetPowerManagementLimit(card) / _MILLIWATTS:.2f}",
        "graphics_speed": lambda: str(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_GRAPHICS)),
        "memory_speed": lambda: str(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM)),
        "uuid": lambda: nvml.nvmlDeviceGetUUID(card),
        "serial": lambda: nvml.nvmlDeviceGetSerial(card),
    }
    return {what: _answer(nvml, ask) for what, ask in questions.items()}


def _answer(nvml: Nvml, ask: Callable[[], str]) -> str:
    try:
        return ask()
    except nvml.NVMLError:
        return _NOT_KNOWN
