"""What the miner stores: whom it serves, its jobs, and its slots and executors."""

from miner.models.fleet import Executor, Slot
from miner.models.jobs import Job, JobMessage
from miner.models.validators import BlacklistedValidator, Validator

__all__ = ["BlacklistedValidator", "Executor", "Job", "JobMessage", "Slot", "Validator"]
