"""Executor classes: what hardware a job asks for, and what each class promises.

The table is data: an operator adds a class with ``define`` (services do it from their
``EXTRA_EXECUTOR_CLASSES`` setting), no code has to change. Values are the live network's.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compute_horde_common.python310 import StrEnum


class ExecutorClass(StrEnum):
    """The classes that every participant of the live network knows."""

    spin_up_4min__gpu_24gb = "spin_up-4min.gpu-24gb"
    always_on__gpu_24gb = "always_on.gpu-24gb"
    always_on__llm__a6000 = "always_on.llm.a6000"
    always_on__test = "always_on.test"
    always_on__cpu__8c__16gb = "always_on.cpu.8c.16gb"


DEFAULT_EXECUTOR_CLASS = ExecutorClass.spin_up_4min__gpu_24gb


class ExecutorClassSpec(BaseModel):
    """What one executor class promises.

    ``spin_up_seconds``: longest time from acceptance until the executor is ready.
    ``relative_value``: weight of a second on this class against the other classes, in scores.
    Sizes are in GB (10^9 bytes); ``None`` means that the class promises nothing about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    spin_up_seconds: int = Field(ge=0, le=3600)
    gpu: str | None = None
    vram_gb: int | None = None
    cpu_cores: int | None = None
    ram_gb: int | None = None
    relative_value: float = Field(default=0.0, ge=0)

    @property
    def has_gpu(self) -> bool:
        """Whether jobs of this class get a GPU."""
        return self.gpu is not None

    @property
    def always_on(self) -> bool:
        """Whether an executor of this class waits ready before there is a job."""
        return self.name.startswith("always_on")


_TABLE: dict[str, ExecutorClassSpec] = {
    spec.name: spec
    for spec in (
        ExecutorClassSpec(
            name="spin_up-4min.gpu-24gb",
            spin_up_seconds=240,
            gpu="any",
            vram_gb=24,
            relative_value=98,
        ),
        ExecutorClassSpec(name="always_on.gpu-24gb", spin_up_seconds=3, gpu="any", vram_gb=24),
        ExecutorClassSpec(
            name="always_on.llm.a6000",
            spin_up_seconds=30,
            gpu="NVIDIA RTX A6000",
            vram_gb=48,
            relative_value=1,
        ),
        ExecutorClassSpec(name="always_on.test", spin_up_seconds=3),
        ExecutorClassSpec(
            name="always_on.cpu.8c.16gb",
            spin_up_seconds=30,
            cpu_cores=8,
            ram_gb=16,
            relative_value=1,
        ),
    )
}


class UnknownExecutorClass(ValueError):
    """A class that this network has no entry for."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"executor class {name[:64]!r} is unknown. Known classes: {', '.join(_TABLE)}"
        )


def define(specs: Iterable[ExecutorClassSpec]) -> None:
    """Adds classes to the table; an equal entry may be added again.

    Raises:
        ValueError: a class of that name exists and promises something else.
    """
    for spec in specs:
        known = _TABLE.get(spec.name)
        if known is not None and known != spec:
            msg = f"executor class {spec.name} is defined already, differently"
            raise ValueError(msg)
        _TABLE[spec.name] = spec


def executor_class(name: str) -> ExecutorClassSpec:
    """What the class of that name promises.

    Raises:
        UnknownExecutorClass: there is no such class.
    """
    spec = _TABLE.get(name)
    if spec is None:
        raise UnknownExecutorClass(name)
    return spec


def known_classes() -> list[ExecutorClassSpec]:
    """All classes, in the order in which they were defined."""
    return list(_TABLE.values())


def _known(name: str) -> str:
    return executor_class(name).name


ExecutorClassName = Annotated[str, AfterValidator(_known)]
"""A field that takes the name of a known class only."""
