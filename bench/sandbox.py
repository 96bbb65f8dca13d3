"""What a job's container costs more than a bare one: made, started, waited for and removed."""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from pydantic import JsonValue

from bench.measure import Stopwatch, percentile
from compute_horde_common.containers.docker_api import DaemonApi
from compute_horde_common.containers.docker_config import container_config
from compute_horde_common.containers.interface import DEFAULT_ADDRESS
from compute_horde_common.jobs.executor_classes import executor_class
from compute_horde_common.transfer.tree import JobTree
from executor import machine
from executor.config import ExecutorConfig
from executor.stages.sandbox import Host, Program, container_for, limits_for

ROUNDS = 30
_COMMAND = ("true",)


async def sandbox_figures(image: str, data: Path) -> dict[str, float]:
    """Medians in ms, of the executor's container and of one with nothing but no network."""
    tree = JobTree.create(data / "sandbox")
    hardened, bare = _hardened(image, tree), _bare(image)
    taken: dict[str, list[float]] = {"hardened": [], "bare": []}
    api = DaemonApi(DEFAULT_ADDRESS)
    try:
        for _ in range(ROUNDS):
            taken["bare"].append(await _run(api, bare))
            taken["hardened"].append(await _run(api, hardened))
    finally:
        await api.close()
    medians = {name: percentile(samples, 50) * 1e3 for name, samples in taken.items()}
    return {
        "bare container p50 (ms)": medians["bare"],
        "hardened container p50 (ms)": medians["hardened"],
        "cost of the hardened one (ms)": medians["hardened"] - medians["bare"],
    }


def _bare(image: str) -> Mapping[str, JsonValue]:
    return {"Image": image, "Cmd": list(_COMMAND), "HostConfig": {"NetworkMode": "none"}}


def _hardened(image: str, tree: JobTree) -> Mapping[str, JsonValue]:
    config = ExecutorConfig(miner_address="ws://unused", token="bench", owner="bench")  # noqa: S106
    host = Host(memory_bytes=machine.memory_bytes(), cpus=machine.cpu_count())
    program = Program(image=image, arguments=_COMMAND, env={}, script="pass")
    limits = limits_for(executor_class("always_on.test"), config, host)
    spec = container_for(program, tree, config, job_uuid="bench", limits=limits, gpus="none")
    return container_config(spec)


async def _run(api: DaemonApi, config: Mapping[str, JsonValue]) -> float:
    path = f"/containers/bench-{uuid4().hex}"
    watch = Stopwatch()
    await _call(api, "POST", "/containers/create", {"name": path.rpartition("/")[2]}, dict(config))
    await _call(api, "POST", f"{path}/start")
    await _call(api, "POST", f"{path}/wait")
    await _call(api, "DELETE", path)
    return watch.seconds


async def _call(
    api: DaemonApi,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    body: JsonValue = None,
) -> None:
    reply = await api.call(method, path, query, body=body)
    if reply.failed:
        raise SystemExit(f"{method} {path}: {reply.message}")
