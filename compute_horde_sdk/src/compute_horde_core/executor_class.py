"""The classes of hardware."""

from compute_horde_common.jobs.executor_classes import ExecutorClass

__all__ = [
    "ExecutorClass",
]
