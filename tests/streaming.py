"""A streaming job made of nothing but a shell, and a client that it must not let in."""

import ssl

import httpx

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


def https_client_without_certificate(job: ComputeHordeJob) -> httpx.AsyncClient:
    """Anybody but the author."""
    url = f"https://{job.streaming_server_address}:{job.streaming_server_port}"
    context = ssl.create_default_context(cadata=job.streaming_server_cert)
    return httpx.AsyncClient(base_url=url, verify=context, timeout=10)
