# mypy: ignore-errors
"""Runs in the environment of a published SDK: jobs with everything, then lists and fetches them."""

import asyncio
import json
import sys

import bittensor_wallet

from compute_horde_sdk.v1 import (
    ComputeHordeClient,
    ComputeHordeJobSpec,
    ExecutorClass,
    HTTPInputVolume,
    HTTPOutputVolume,
    InlineInputVolume,
)

GIVEN = json.load(sys.stdin)


def spec(args, **more):
    return ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.interop",
        docker_image=GIVEN["image"],
        download_time_limit_sec=10,
        execution_time_limit_sec=20,
        upload_time_limit_sec=10,
        args=args,
        **more,
    )


def shown(job):
    result = job.result
    return {
        "uuid": job.uuid,
        "status": str(job.status.value),
        "history": [entry.status.value for entry in job.status_history],
        "stdout": result.stdout if result else None,
        "artifacts": {k: v.decode() for k, v in result.artifacts.items()} if result else None,
        "uploads": sorted(result.upload_results) if result else None,
        "error": getattr(job.error, "reason", None),
    }


async def main():
    wallet = bittensor_wallet.Wallet(
        name=GIVEN["wallet"]["name"],
        hotkey=GIVEN["wallet"]["hotkey_name"],
        path=GIVEN["wallet"]["directory"],
    )
    client = ComputeHordeClient(
        hotkey=wallet.hotkey,
        compute_horde_validator_hotkey=GIVEN["validator"],
        facilitator_url=GIVEN["facilitator"],
    )
    full = await client.create_job(
        spec(
            [
                "sh",
                "-c",
                "cat /volume/inline/a.txt /volume/web.txt > /artifacts/joined;"
                ' cp /artifacts/joined /output/sent; echo "$WHO $1"',
                "sh",
                "--loud",
            ],
            env={"WHO": "published", "A": "1"},
            artifacts_dir="/artifacts",
            input_volumes={
                "/volume/inline/": InlineInputVolume.from_file_contents("a.txt", b"inline "),
                "/volume/web.txt": HTTPInputVolume(url=GIVEN["web"] + "/web.txt"),
            },
            output_volumes={
                "/output/sent": HTTPOutputVolume(http_method="PUT", url=GIVEN["web"] + "/sent")
            },
        )
    )
    await full.wait(timeout=60)
    plain = await client.create_job(spec(["sh", "-c", "exit 3"]))
    await plain.wait(timeout=60)
    fetched = await client.get_job(full.uuid)
    listed = [job.uuid async for job in client.iter_jobs()]
    print(
        json.dumps(
            {
                "full": shown(full),
                "failing": shown(plain),
                "fetched": shown(fetched),
                "listed": listed[:2],
            }
        )
    )


asyncio.run(main())
