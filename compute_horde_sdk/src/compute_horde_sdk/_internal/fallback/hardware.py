"""What to rent for an executor class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_sdk._internal.fallback.exceptions import FallbackError

GPUS_24_GB = ("RTX4090", "RTX3090", "RTXA5000", "L4", "A10G", "A10")
GPUS_A6000 = ("RTXA6000",)


@dataclass(frozen=True)
class Hardware:
    """Any one of the accelerators, and at least so many CPUs and GB of memory."""

    accelerators: Sequence[Mapping[str, int]] = ()
    cpus: str | None = None
    memory: str | None = None


HARDWARE: Mapping[str, Hardware] = {
    ExecutorClass.spin_up_4min__gpu_24gb: Hardware([{gpu: 1} for gpu in GPUS_24_GB]),
    ExecutorClass.always_on__gpu_24gb: Hardware([{gpu: 1} for gpu in GPUS_24_GB]),
    ExecutorClass.always_on__llm__a6000: Hardware([{gpu: 1} for gpu in GPUS_A6000]),
    ExecutorClass.always_on__test: Hardware(cpus="2+"),
    ExecutorClass.always_on__cpu__8c__16gb: Hardware(cpus="8+", memory="16+"),
}


def hardware_of(executor_class: object) -> Hardware:
    """What stands for an executor class, given as member or text.

    Raises:
        FallbackError: there is no such class.
    """
    found = HARDWARE.get(str(executor_class))
    if found is None:
        raise FallbackError(
            f"executor_class is {executor_class!r:.100}. Known classes: {', '.join(HARDWARE)}."
        )
    return found
