"""A streaming job made of nothing but a shell, and clients for it."""

import ssl
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from compute_horde_sdk.v1 import ComputeHordeJob

SERVER = r"""
mkdir -p /www/cgi-bin
echo well > /www/health
cat > /www/cgi-bin/echo <<'END'
#!/bin/sh
printf "Connection: close\r\n\r\nsaid: "; cat
END
cat > /www/cgi-bin/terminate <<'END'
#!/bin/sh
printf "Connection: close\r\n\r\nbye"
(sleep 1; touch /stop) > /dev/null 2>&1 &
END
chmod +x /www/cgi-bin/*
httpd -p 8000 -h /www
echo serving
while [ ! -e /stop ]; do sleep 0.1; done
echo stopped
"""
"""Answers on port 8000; ends well when its client says so."""


def https_client(job: ComputeHordeJob, folder: Path) -> httpx.AsyncClient:
    """What the author of a streaming job connects with."""
    assert job.streaming_private_key is not None
    assert job.streaming_public_cert is not None
    key = folder / "client.pem"
    key.write_bytes(
        job.streaming_private_key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        + job.streaming_public_cert.public_bytes(Encoding.PEM)
    )
    context = ssl.create_default_context(cadata=job.streaming_server_cert)
    context.load_cert_chain(key)
    return _client(job, context)


def https_client_without_certificate(job: ComputeHordeJob) -> httpx.AsyncClient:
    """Anybody else."""
    return _client(job, ssl.create_default_context(cadata=job.streaming_server_cert))


def _client(job: ComputeHordeJob, context: ssl.SSLContext) -> httpx.AsyncClient:
    url = f"https://{job.streaming_server_address}:{job.streaming_server_port}"
    return httpx.AsyncClient(base_url=url, verify=context, timeout=10)
