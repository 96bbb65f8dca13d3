"""What an executor in a container of its own does for a streaming job. Runs in that container, and
tells on its output: the job's network and address, then where its client connects. Ends when it is
told to by SIGTERM."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from compute_horde_common.clock import SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import ContainerSpec, Limits
from compute_horde_common.containers.labels import OWNER_LABEL, TOKEN_LABEL
from compute_horde_common.jobs.spec import StreamingDetails
from executor.config import ExecutorConfig
from executor.stages.streaming import joined, network_for, streaming


async def main() -> None:
    given = json.loads(os.environ["GIVEN"])
    config = ExecutorConfig(
        miner_address="ws://unused",
        token=given["token"],
        owner=given["owner"],
        work_dir=Path("/tmp"),  # noqa: S108 - nothing is written there
        container=given["container"],
        streaming_ports=(6006, 6006),
    )
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    details = StreamingDetails(public_key=given["certificate"], executor_ip="127.0.0.1")
    async with DockerEngine() as engine, network_for(engine, config, given["job"]) as network:
        job = await engine.create(_job(config, given, network))
        try:
            await engine.start(job)
            clock = SystemClock()
            async with streaming(
                engine, job, network, details, config, within=20, clock=clock
            ) as endpoint:
                where = {"port": endpoint.port, "certificate": endpoint.certificate, "job": job}
                sys.stdout.write(json.dumps(where) + "\n")
                sys.stdout.flush()
                await told.wait()
        finally:
            await engine.remove(job)


def _job(config: ExecutorConfig, given: dict[str, str], network: str) -> ContainerSpec:
    spec = ContainerSpec(
        image=given["image"],
        name=f"ch-{config.token}-job",
        limits=Limits(memory_bytes=64 << 20, cpus=1.0),
        command=("python3", "-u", "-c", given["program"], "200"),
        labels={OWNER_LABEL: config.owner, TOKEN_LABEL: config.token},
    )
    return joined(spec, network)


asyncio.run(main())
