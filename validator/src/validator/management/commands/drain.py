"""``drain``: takes no new jobs, and waits for the end of those that run."""

from compute_horde_common.contrib.django.draining import DrainCommand
from validator.services import jobs


class Command(DrainCommand):
    open_jobs = staticmethod(jobs.still_open)
