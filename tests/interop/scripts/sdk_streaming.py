# mypy: ignore-errors
"""A streaming job, talked to and ended by its author, with any SDK: published, or ours."""

import asyncio
import json
import ssl
import sys
import tempfile
from datetime import timedelta

import bittensor_wallet
import httpx
from cryptography.hazmat.primitives import serialization

from compute_horde_sdk._internal import sdk
from compute_horde_sdk.v1 import ComputeHordeClient, ComputeHordeJobSpec, ExecutorClass

GIVEN = json.load(sys.stdin)
# Where it can be set, it is: the published SDK asks for a job every three seconds.
sdk.JOB_REFRESH_INTERVAL = timedelta(seconds=0.3)


def https(job):
    context = ssl.create_default_context(cadata=job.streaming_server_cert)
    with tempfile.NamedTemporaryFile() as file:
        file.write(
            job.streaming_private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        file.write(job.streaming_public_cert.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    url = f"https://{job.streaming_server_address}:{job.streaming_server_port}"
    return httpx.AsyncClient(base_url=url, verify=context, timeout=10)


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
    job = await client.create_job(
        ComputeHordeJobSpec(
            executor_class=ExecutorClass.always_on__test,
            job_namespace="SN12.interop",
            docker_image=GIVEN["image"],
            download_time_limit_sec=10,
            execution_time_limit_sec=30,
            upload_time_limit_sec=10,
            args=["sh", "-c", GIVEN["server"]],
            streaming=True,
            streaming_start_time_limit_sec=10,
        )
    )
    await job.wait_for_streaming(timeout=60)
    async with https(job) as http:
        health = await http.get("/health")
        echo = await http.post("/cgi-bin/echo", content=b"hello")
        await http.post("/cgi-bin/terminate")
    await job.wait(timeout=60)
    print(
        json.dumps(
            {
                "health": health.text,
                "echo": echo.text,
                "status": str(job.status.value),
                "history": [entry.status.value for entry in job.status_history],
                "stdout": job.result.stdout if job.result else None,
            }
        )
    )


asyncio.run(main())
