"""``./dev bench``: server time of jobs, throughput, REST latency, CPU and memory of a network; then
what one executor does on its own: its sandbox, its transfers, the end of cancelled jobs; then the
SDK beside the published one."""

import argparse
import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.executor import executor_figures
from bench.measure import Stopwatch, cpu_seconds, machine_cpu_seconds, memory, percentile
from bench.relay import relay_figures
from bench.sandbox import sandbox_figures
from bench.sdk import sdk_figures
from bench.transfers import transfer_figures
from bench.web import Web
from compute_horde_common.chain.keys import Hotkey
from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.telemetry import logs
from compute_horde_devnet.images import job_image
from compute_horde_devnet.network import Network
from compute_horde_devnet.options import NetworkOptions
from compute_horde_devnet.state import NetworkState
from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJob,
    ComputeHordeJobSpec,
    ExecutorClass,
)

JOB_SECONDS = 120


def main() -> None:
    """Starts a network, measures it, prints what was found, and stops it."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=40, help="sequential jobs (default 40)")
    parser.add_argument("--burst", type=int, default=16, help="jobs at once (default 16)")
    parser.add_argument("--slots", type=int, default=4, help="executor slots (default 4)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--only", choices=["network", "executor", "sdk"], help="one part of it (default all)"
    )
    options = parser.parse_args()
    figures: dict[str, float] = {}
    if options.only in {None, "network"}:
        figures |= _with_network(
            options.slots, lambda state: asyncio.run(_measure(state, options.jobs, options.burst))
        )
    if options.only in {None, "executor"}:
        figures |= _measure_executor()
    if options.only in {None, "sdk"}:
        figures |= _with_network(1, sdk_figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def _with_network(
    slots: int, measure: Callable[[NetworkState], dict[str, float]]
) -> dict[str, float]:
    data = Path(tempfile.mkdtemp(prefix="compute-horde-bench-"))
    network = Network(NetworkOptions(data=data, slots=slots, die_with_parent=True), lambda _: None)
    try:
        return measure(network.start())
    finally:
        network.stop()
        shutil.rmtree(data, ignore_errors=True)


def _measure_executor() -> dict[str, float]:
    logs.set_up(level="error")
    with tempfile.TemporaryDirectory(prefix="compute-horde-bench-") as folder:
        figures = asyncio.run(_measure_parts(job_image(), Path(folder)))
    for name, value in figures.items():
        print(f"{name:40} {value:10.3f}")
    return figures


async def _measure_parts(image: str, data: Path) -> dict[str, float]:
    return {
        **await sandbox_figures(image, data),
        **await transfer_figures(data),
        **await relay_figures(data),
        **await executor_figures(image, data),
    }


async def _measure(state: NetworkState, jobs: int, burst: int) -> dict[str, float]:
    roots = [info.pid for info in state.processes]
    await _settle(roots)
    idle_memory = {info.name: memory(info.pid) for info in state.processes}
    idle_cpu = await _idle_cpu(roots)
    wallet = state.client.wallet
    hotkey = Hotkey.from_wallet(wallet.directory, wallet.name, wallet.hotkey_name)
    async with ComputeHordeClient(
        wallet.keypair(), state.validators[0].hotkey, facilitator_url=state.facilitator.url
    ) as client:
        await _run(client, state)
        bare_before = _bare(state.image, 10)
        server, services_cpu, machine_cpu = await _sequential(client, state, jobs, roots)
        bare = sorted([*bare_before, *_bare(state.image, 10)])
        rate = await _burst(client, state, burst)
    await _settle(roots)
    posts, gets = await asyncio.to_thread(_rest, state, hotkey)
    bare_p50 = percentile(bare, 50)
    figures = {
        "bare docker run p50 (s)": bare_p50,
        "server p50 (s)": percentile(server, 50),
        "server p95 (s)": percentile(server, 95),
        "server p50 / bare": percentile(server, 50) / bare_p50,
        "server p95 / bare": percentile(server, 95) / bare_p50,
        "CPU-seconds per job, services": services_cpu / jobs,
        "CPU-seconds per job, whole machine": machine_cpu / jobs,
        "burst jobs/s": rate,
        "POST p50 (ms)": percentile(posts, 50) * 1e3,
        "POST per second": len(posts) / sum(posts),
        "GET p50 (ms)": percentile(gets, 50) * 1e3,
        "GET per second": len(gets) / sum(gets),
        "idle memory, PSS (MB)": sum(pss for pss, _ in idle_memory.values()),
        "idle memory, RSS (MB)": sum(rss for _, rss in idle_memory.values()),
        "idle CPU (cores)": idle_cpu,
    }
    print(f"server p50 {figures['server p50 / bare']:.2f} x bare docker run")
    print(f"server p95 {figures['server p95 / bare']:.2f} x bare docker run")
    for name, value in figures.items():
        print(f"{name:40} {value:10.3f}")
    print("memory at rest, with children: PSS and RSS in MB")
    for name, (pss, rss) in idle_memory.items():
        print(f"  {name:38} {pss:8.1f} {rss:8.1f}")
    return figures


def _spec(state: NetworkState) -> ComputeHordeJobSpec:
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass(state.executor_class),
        job_namespace="SN12.bench",
        docker_image=state.image,
        download_time_limit_sec=10,
        execution_time_limit_sec=30,
        upload_time_limit_sec=10,
        args=["true"],
    )


async def _run(client: ComputeHordeClient, state: NetworkState) -> ComputeHordeJob:
    job = await client.create_job(_spec(state))
    await job.wait(timeout=JOB_SECONDS)
    if job.status.value != "completed":
        raise SystemExit(f"a job ended as {job.status.value}: {job.error}")
    return job


def _server_seconds(job: ComputeHordeJob) -> float:
    first, last = job.status_history[0], job.status_history[-1]
    return (last.created_at - first.created_at).total_seconds()


async def _sequential(
    client: ComputeHordeClient, state: NetworkState, jobs: int, roots: list[int]
) -> tuple[list[float], float, float]:
    taken = []
    services_before, machine_before = cpu_seconds(roots), machine_cpu_seconds()
    for _ in range(jobs):
        taken.append(_server_seconds(await _run(client, state)))
        # The slot's next executor becomes warm before the next job: that is what is measured.
        await asyncio.sleep(1.0)
    return taken, cpu_seconds(roots) - services_before, machine_cpu_seconds() - machine_before


async def _burst(client: ComputeHordeClient, state: NetworkState, count: int) -> float:
    watch = Stopwatch()
    await asyncio.gather(*(_run(client, state) for _ in range(count)))
    return count / watch.seconds


def _bare(image: str, count: int) -> list[float]:
    samples = []
    for _ in range(count):
        watch = Stopwatch()
        subprocess.run(
            ["docker", "run", "--rm", "--network", "none", image, "true"],
            check=True,
            capture_output=True,
        )
        samples.append(watch.seconds)
    return samples


def _rest(state: NetworkState, hotkey: Hotkey) -> tuple[list[float], list[float]]:
    """POST and GET on one connection, each as soon as the last one is answered. The jobs are for a
    trusted miner that is not there: the validator rejects them meanwhile, on the same machine."""
    body = {
        "target_validator_hotkey": state.validators[0].hotkey,
        "executor_class": state.executor_class,
        "docker_image": state.image,
        "args": ["true"],
        "use_gpu": True,
        "on_trusted_miner": True,
        "download_time_limit": 5,
        "execution_time_limit": 5,
        "upload_time_limit": 5,
        "streaming_start_time_limit": 5,
    }
    payload = signatures.job_payload(JobSpec.model_validate(body))
    web = Web(state.facilitator.url)
    nonce = web.send("GET", "/auth/nonce")["nonce"]
    signature = hotkey.sign(nonce.encode()).hex()
    login = {"hotkey": hotkey.ss58, "nonce": nonce, "signature": signature}
    web.headers["Authorization"] = f"Bearer {web.send('POST', '/auth/login', login)['token']}"
    posts, gets, uuid = [], [], ""
    for _ in range(105):
        signed = signatures.signed(payload, hotkey, timestamp_ns=time.time_ns())
        headers = rest.signature_headers(signed)
        watch = Stopwatch()
        uuid = web.send("POST", "/api/v1/job-docker/", body, headers)["uuid"]
        posts.append(watch.seconds)
    for _ in range(105):
        watch = Stopwatch()
        web.send("GET", f"/api/v1/jobs/{uuid}/")
        gets.append(watch.seconds)
    return posts[5:], gets[5:]


async def _settle(roots: list[int]) -> None:
    """Returns when the services have stopped being busy with starting."""
    for _ in range(60):
        if await _idle_cpu(roots, seconds=1.0) < 0.15:  # noqa: PLR2004 - of one core
            return


async def _idle_cpu(roots: list[int], seconds: float = 5.0) -> float:
    before = cpu_seconds(roots)
    await asyncio.sleep(seconds)
    return (cpu_seconds(roots) - before) / seconds


if __name__ == "__main__":
    main()
