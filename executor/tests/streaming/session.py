"""A streaming job that runs, and its author."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from compute_horde_common.jobs.timing import Limits
from compute_horde_common.protocol.live import CancelJob
from compute_horde_common.protocol.validator_miner import ExecutorReady, StreamingReady
from executor.streaming.certificates import VALID, Identity, new_identity
from tests.stand import JOB, PATIENCE, Stand, inline, offer, start

PROGRAM = (Path(__file__).parent / "server.py").read_text()
FILES = {"server.py": PROGRAM}
LONG = Limits(download=10, execution=60, upload=5, streaming_start=20)
SHORT = Limits(download=1, execution=1, upload=1, streaming_start=2, leeway=1)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def somebody(age: timedelta = timedelta()) -> Identity:
    """A client's key and certificate, made so long ago."""
    return new_identity(None, datetime.now(UTC) - age)


LONG_AGO = VALID + timedelta(hours=1)


@dataclass
class Session:
    """What the author of the job knows."""

    ready: StreamingReady
    author: Identity
    folder: Path
    stand: Stand

    def tls(self, who: Identity | None) -> ssl.SSLContext:
        """What somebody connects with who trusts the job's certificate alone."""
        context = ssl.create_default_context(cadata=self.ready.public_key)
        if who is not None:
            pair = self.folder / "client.pem"
            pair.write_bytes(who.key + who.certificate.encode())
            context.load_cert_chain(pair)
        return context

    async def connect(self, context: ssl.SSLContext | None = None) -> Streams:
        """A connection, by default the author's."""
        return await asyncio.open_connection(
            "127.0.0.1",
            self.ready.port,
            ssl=context or self.tls(self.author),
            server_hostname="localhost",
        )

    async def ask(self, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
        """Everything that is answered to a request."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await self.connect(context)
            writer.write(request)
            await writer.drain()
            answer = await reader.read()
            writer.close()
        return answer

    async def cancel(self) -> None:
        """Ends the job."""
        await self.stand.miner.send(CancelJob(job_uuid=JOB))


@asynccontextmanager
async def session(
    stand: Stand,
    image: str,
    folder: Path,
    author: Identity | None = None,
    files: Mapping[str, str] = FILES,
) -> AsyncIterator[Session]:
    """A job whose ``/health`` is well, its program among ``files``; it is ended with the block."""
    author = author or somebody()
    # The programs do not heed SIGTERM.
    stand.config = replace(stand.config, cancel_grace_seconds=0)
    async with asyncio.TaskGroup() as group:
        group.create_task(stand.serve())
        await _begin(stand, image, author.certificate, "200", LONG, files)
        ready = await stand.miner.expect(StreamingReady, within=PATIENCE)
        running = Session(ready, author, folder, stand)
        yield running
        await running.cancel()
        await stand.said()


async def outcome(
    stand: Stand, image: str, certificate: str, answers: str, **changes: object
) -> list[BaseModel]:
    """All that is said of a job that is not ended from outside."""
    async with asyncio.TaskGroup() as group:
        group.create_task(stand.serve())
        await _begin(stand, image, certificate, answers, SHORT, FILES, **changes)
        return await stand.said()
    raise AssertionError("the group passes every failure on")


async def _begin(
    stand: Stand,
    image: str,
    certificate: str,
    answers: str,
    limits: Limits,
    files: Mapping[str, str],
    **changes: object,
) -> None:
    details = {"public_key": certificate, "executor_ip": "127.0.0.1"}
    volume = inline(dict(files))
    offered = offer(limits, docker_image=image, streaming_details=details, volume=volume)
    await stand.miner.send(offered)
    await stand.miner.expect(ExecutorReady, within=PATIENCE)
    command = ["python3", "-u", "/volume/server.py", answers]
    await stand.miner.send(start("", docker_image=image, docker_run_cmd=command, **changes))
