"""Another job on the same host, running while one attacks."""

import asyncio
import subprocess
from contextlib import suppress

from compute_horde_common.containers.interface import NoSuchContainer
from compute_horde_common.jobs.volumes import InlineVolume
from compute_horde_common.protocol.validator_miner import ExecutorReady, VolumesReady
from executor.links.miner import MinerLost
from tests.stand import PATIENCE, Stand, offer, start


class Neighbour:
    """Its executor, and what can be seen of it from the host."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.folder = stand.config.job_folder
        self._serving: asyncio.Task[None] | None = None

    async def begin(self, script: str, volume: InlineVolume | None = None) -> None:
        """Returns once the script is done; the job goes on."""
        self._serving = asyncio.create_task(self.stand.serve())
        await self.stand.miner.send(offer(volume=volume))
        await self.stand.miner.expect(ExecutorReady, within=PATIENCE)
        await self.stand.miner.send(start(f"{script}; echo begun; exec tail -f /dev/null"))
        await self.stand.miner.expect(VolumesReady, within=PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while not await self.wrote("begun"):
                continue

    async def wrote(self, text: str) -> bool:
        """Whether its output has these words."""
        with suppress(NoSuchContainer):
            for container in await self.stand.engine.owned(self.stand.labels):
                async for output in self.stand.engine.follow(container.id):
                    if text.encode() in output.data:
                        return True
        return False

    async def is_running(self) -> bool:
        """Whether its container runs."""
        return [c.state for c in await self.stand.engine.owned(self.stand.labels)] == ["running"]

    def pid(self) -> int:
        """Its first process, as the host numbers it."""
        return int(self.look("{{.State.Pid}}"))

    def look(self, what: str) -> str:
        """What Docker knows of its container."""
        looking = ["docker", "inspect", "--format", what, f"ch-{self.stand.config.token}-job"]
        return subprocess.run(looking, check=True, capture_output=True, text=True).stdout.strip()

    async def end(self) -> None:
        """Returns once nothing of it is left."""
        await self.stand.miner.close()
        if self._serving is not None:
            with suppress(MinerLost):
                await self._serving
