"""What ``./dev up`` prints: addresses, logins, and an SDK snippet that is ready to be run."""

from pathlib import Path

from compute_horde_devnet.state import NetworkState


def explanation(state: NetworkState, path: Path) -> str:
    """The whole text."""
    panels = [state.facilitator, *state.validators, *state.miners, *state.trusted_miners]
    rows = [
        f"  {panel.name:18} {panel.admin.url:34} {panel.admin.username} / {panel.admin.password}"
        for panel in panels
    ]
    return "\n".join(
        [
            "\nThe network is up. Admin panels:",
            *rows,
            f"\nChain: {state.chain_url}   description for scripts: {path}",
            "\nRun a job (./dev shell, then python):\n",
            sdk_snippet(state),
            "End it with ./dev down.",
        ]
    )


def sdk_snippet(state: NetworkState) -> str:
    """A program that submits one job and prints its result."""
    wallet = state.client.wallet
    return f"""\
import asyncio, bittensor_wallet
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass

wallet = bittensor_wallet.Wallet(
    name="{wallet.name}", hotkey="{wallet.hotkey_name}", path="{wallet.directory}"
)
client = ComputeHordeClient(
    hotkey=wallet.hotkey,
    compute_horde_validator_hotkey="{state.validators[0].hotkey}",
    facilitator_url="{state.facilitator.url}",
)
spec = ComputeHordeJobSpec(
    executor_class=ExecutorClass("{state.executor_class}"),
    job_namespace="SN12.try",
    docker_image="{state.image}",
    args=["echo", "hello"],
    download_time_limit_sec=10,
    execution_time_limit_sec=30,
    upload_time_limit_sec=10,
)

async def main():
    job = await client.run_until_complete(spec)
    print(job.status, job.result)

asyncio.run(main())
"""
