"""The miner's end of the conversation, and values to say there."""

import asyncio
import base64
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from compute_horde_common.clock import SystemClock
from compute_horde_common.containers.docker import DockerEngine
from compute_horde_common.containers.interface import Owned
from compute_horde_common.containers.labels import TOKEN_LABEL
from compute_horde_common.jobs.timing import Limits
from compute_horde_common.jobs.volumes import InlineVolume
from compute_horde_common.links.link import Link, LinkClosed
from compute_horde_common.links.memory import pipe_pair
from compute_horde_common.protocol.base import Codec
from compute_horde_common.protocol.miner_executor import ExecutorToMiner, MinerToExecutor
from compute_horde_common.protocol.receipts import JobStartedReceiptPayload
from compute_horde_common.protocol.validator_miner import (
    ExecutorReady,
    ExecutorTiming,
    GenericError,
    OfferJob,
    StartJob,
)
from executor.config import ExecutorConfig
from executor.links.bench import Bench
from executor.links.miner import serve_miner

IMAGE = "compute-horde-executor-test:latest"
JOB = "0c8f3d52-5d0e-4c3c-9f6b-2a51a2f0b7aa"
PATIENCE = 30
OWNER = f"executor-tests-{uuid4().hex}"
LIMITS = Limits(download=10, execution=20, upload=10)


def offer(limits: Limits = LIMITS, **changes: object) -> OfferJob:
    return OfferJob.model_validate(
        {
            "job_uuid": JOB,
            "executor_class": "always_on.test",
            "docker_image": IMAGE,
            "job_started_receipt_payload": JobStartedReceiptPayload(
                job_uuid=JOB,
                miner_hotkey="miner",
                validator_hotkey="validator",
                timestamp=datetime(2026, 11, 21, tzinfo=UTC),
                executor_class="always_on.test",
                is_organic=True,
                ttl=7,
            ),
            "job_started_receipt_signature": "0x00",
            "executor_timing": ExecutorTiming.of(limits),
            **changes,
        }
    )


def start(script: str, **changes: object) -> StartJob:
    return StartJob.model_validate(
        {
            "job_uuid": JOB,
            "executor_class": "always_on.test",
            "docker_image": IMAGE,
            "docker_run_options_preset": "none",
            "docker_run_cmd": ["sh", "-c", script],
            **changes,
        }
    )


def inline(files: dict[str, str], relative_path: str | None = None) -> InlineVolume:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    contents = base64.b64encode(packed.getvalue()).decode()
    return InlineVolume(contents=contents, relative_path=relative_path)


class Stand:
    """One executor on a pipe, and the miner at the other end of it."""

    def __init__(self, engine: DockerEngine, work_dir: Path) -> None:
        token = f"test-{uuid4().hex}"
        self.config = ExecutorConfig(
            miner_address="ws://unused",
            token=token,
            owner=OWNER,
            work_dir=work_dir,
            allow_private_addresses=True,
            memory_bytes=64 << 20,
        )
        self.engine = engine
        self.job_control = False
        self.clock = SystemClock()
        self.pipe, self._far = pipe_pair()
        self.miner: Link[ExecutorToMiner, MinerToExecutor] = Link(
            self.pipe, Codec(ExecutorToMiner), clock=self.clock
        )

    async def serve(self) -> None:
        """What the executor's process does once it is connected."""
        link: Link[MinerToExecutor, ExecutorToMiner] = Link(
            self._far,
            Codec(MinerToExecutor),
            clock=self.clock,
            complain=lambda reason: GenericError(details=reason),
        )
        async with asyncio.timeout(PATIENCE):
            bench = Bench(self.config, self.engine, self.clock, self.job_control)
            await serve_miner(link, bench)
        await self._far.close()

    async def said(self) -> list[BaseModel]:
        """All that the executor says until it is gone."""
        heard: list[BaseModel] = []
        try:
            while True:
                heard.append(await self.miner.receive(within=PATIENCE))
        except LinkClosed:
            return heard

    async def talk(self, offered: OfferJob, told: StartJob | None = None) -> list[BaseModel]:
        """A whole conversation; returns the executor's part of it, in order."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.serve())
            await self.miner.send(offered)
            if told is None:
                return await self.said()
            ready = await self.miner.expect(ExecutorReady, within=PATIENCE)
            await self.miner.send(told)
            return [ready, *await self.said()]
        raise AssertionError("the group passes every failure on")

    async def run(self, script: str, limits: Limits = LIMITS, **changes: object) -> BaseModel:
        """The report of a job that runs ``script``."""
        return (await self.talk(offer(limits), start(script, **changes)))[-1]

    @property
    def labels(self) -> dict[str, str]:
        """What this executor's container is found by."""
        return {TOKEN_LABEL: self.config.token}

    async def left(self) -> tuple[list[Owned], list[Path]]:
        """Containers and files of this executor that are still there."""
        containers = await self.engine.owned(self.labels)
        return containers, list(self.config.work_dir.iterdir())


class Web:
    """A web server on loopback: files to read by path, and bodies that were sent to it."""

    def __init__(self) -> None:
        self.port = 0
        self.files: dict[str, bytes] = {}
        self.received: dict[str, bytes] = {}

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """``/silent`` is never answered; a PUT or POST is answered with its path."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            verb, path, _ = head.split(" ", 2)
            if path == "/silent":
                await reader.read()
                return
            _, _, size = head.partition("content-length: ")
            body = await reader.readexactly(int(size.split()[0])) if size else b""
            writer.write(self._answer(verb, path, body))
            await writer.drain()
        finally:
            writer.close()

    def _answer(self, verb: str, path: str, body: bytes) -> bytes:
        if verb != "get":
            self.received[path] = body
            return _http(200, f"got {path}".encode())
        content = self.files.get(path)
        return _http(404, b"") if content is None else _http(200, content)


def _http(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} x\r\nETag: tag\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
