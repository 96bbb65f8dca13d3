"""Jobs that attack: a script of this folder, run as any job is run."""

import inspect
from types import ModuleType

from pydantic import BaseModel

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.validator_miner import JobFinished
from tests.stand import LIMITS, Stand


class Attacker:
    """Runs attacks as jobs of one executor.

    Args:
        stand: the executor.
        image: one with Python.
    """

    def __init__(self, stand: Stand, image: str) -> None:
        self.stand = stand
        self.image = image

    async def report(
        self, script: ModuleType, *arguments: str, limits: Limits = LIMITS
    ) -> BaseModel:
        """How the job ended."""
        return await self.stand.run("", limits, **self.order(script, *arguments))

    async def said(self, script: ModuleType, *arguments: str) -> str:
        """What the job wrote; it must have ended well."""
        report = await self.report(script, *arguments)
        assert isinstance(report, JobFinished), report
        return report.docker_process_stdout.strip()

    def order(self, script: ModuleType, *arguments: str) -> dict[str, object]:
        """What is special about such a job."""
        return {
            "docker_image": self.image,
            "raw_script": inspect.getsource(script),
            "docker_run_cmd": ["python3", "/script.py", *arguments],
        }
