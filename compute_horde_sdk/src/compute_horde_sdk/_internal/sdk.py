"""The client at the path where programs written for the published SDK look for it."""

from datetime import timedelta

from compute_horde_common.jobs.executor_classes import ExecutorClass
from compute_horde_sdk._internal.attempts import DEFAULT_ATTEMPTS, JobAttemptCallback
from compute_horde_sdk._internal.client import DEFAULT_FACILITATOR_URL, ComputeHordeClient
from compute_horde_sdk._internal.http import ATTEMPTS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS
from compute_horde_sdk._internal.job import ComputeHordeJob, JobStatusCallback
from compute_horde_sdk._internal.spec import STREAMING_START_SECONDS, ComputeHordeJobSpec

JOB_REFRESH_INTERVAL = timedelta(seconds=3)
"""How often the published SDK asks for a job. Ours asks sooner, and is told where it can be."""

DEFAULT_MAX_JOB_RUN_ATTEMPTS = DEFAULT_ATTEMPTS
DEFAULT_STREAMING_START_TIME_LIMIT_SEC = STREAMING_START_SECONDS
HTTP_RETRY_MAX_ATTEMPTS = ATTEMPTS
HTTP_RETRY_MIN_WAIT_SECONDS = FIRST_WAIT_SECONDS
HTTP_RETRY_MAX_WAIT_SECONDS = LONGEST_WAIT_SECONDS
JobAttemptCallbackType = JobAttemptCallback
JobStatusCallbackType = JobStatusCallback

__all__ = [
    "DEFAULT_FACILITATOR_URL",
    "DEFAULT_MAX_JOB_RUN_ATTEMPTS",
    "DEFAULT_STREAMING_START_TIME_LIMIT_SEC",
    "HTTP_RETRY_MAX_ATTEMPTS",
    "HTTP_RETRY_MAX_WAIT_SECONDS",
    "HTTP_RETRY_MIN_WAIT_SECONDS",
    "JOB_REFRESH_INTERVAL",
    "ComputeHordeClient",
    "ComputeHordeJob",
    "ComputeHordeJobSpec",
    "ExecutorClass",
    "JobAttemptCallbackType",
    "JobStatusCallbackType",
]
