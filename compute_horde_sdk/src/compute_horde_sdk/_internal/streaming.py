"""Talking to a streaming job: TLS in which both sides show a certificate that the other one knows.

Imported when it is needed: the library behind it takes its time.
"""

import re
import ssl
import tempfile
from pathlib import Path
from typing import Any, Protocol

import httpx

from compute_horde_sdk._internal.certificates import StreamingKey
from compute_horde_sdk._internal.errors import ComputeHordeError, ComputeHordeValidationError
from compute_horde_sdk._internal.results import ComputeHordeJobStatus

ADDRESS = r"[0-9A-Za-z.:_-]{1,255}"
LAST_PORT = 65535
OUR_OPTIONS = {"verify", "cert", "transport", "mounts"}
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class StreamingJob(Protocol):
    """What there is to know of a job to talk to it."""

    uuid: str
    streaming_server_cert: str | None
    streaming_server_address: str | None
    streaming_server_port: int | None

    @property
    def streaming_key(self) -> StreamingKey | None:
        """What its author shows."""
        ...

    @property
    def status(self) -> ComputeHordeJobStatus:
        """Where it is."""
        ...


def ssl_context(job: StreamingJob) -> ssl.SSLContext:
    """A context that trusts the job's own certificate and no other, and shows its author's.

    Raises:
        ComputeHordeError: the job has no server (yet, or any more), or this object no key for it.
    """
    if not job.status.is_in_progress():
        raise ComputeHordeError(f"job {job.uuid} is {job.status.value}; its server is gone")
    certificate = job.streaming_server_cert
    if not (certificate and job.streaming_server_address and job.streaming_server_port):
        raise ComputeHordeError(
            f"job {job.uuid} is {job.status.value} and has no server yet; await"
            " job.wait_for_streaming() first, and create it with streaming=True"
        )
    key = job.streaming_key
    if key is None:
        raise ComputeHordeError(
            f"there is no key for job {job.uuid}; only the object that create_job returned has it."
            " Save job.streaming_key there, and give it to get_job(..., streaming_key=...)"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, TypeError, ValueError) as error:
        problem = f"job {job.uuid} names a server certificate that is none: {error}"
        raise ComputeHordeError(problem) from error
    _show(context, key)
    return context


def _show(context: ssl.SSLContext, key: StreamingKey) -> None:
    # The ssl module reads keys from files only. This one is its owner's, and gone at once.
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "key.pem")
            key.save(file)
            context.load_cert_chain(file)
    except OSError as error:
        raise ComputeHordeError(f"streaming key cannot be used: {error}") from error


def http_client(job: StreamingJob, options: dict[str, Any]) -> httpx.AsyncClient:
    """A client of the job's server; ``options`` are httpx's.

    Raises:
        ComputeHordeValidationError: an option would change the certificates.
        ComputeHordeError: as `ssl_context`.
    """
    return httpx.AsyncClient(**_options(job, options))


def blocking_http_client(job: StreamingJob, options: dict[str, Any]) -> httpx.Client:
    """The same for programs without an event loop."""
    return httpx.Client(**_options(job, options))


def _options(job: StreamingJob, given: dict[str, Any]) -> dict[str, Any]:
    for name in OUR_OPTIONS & given.keys():
        raise ComputeHordeValidationError(
            name, "is set by the job; for other certificates make an httpx client of your own"
        )
    context = ssl_context(job)
    address = job.streaming_server_address or ""
    host = f"[{address}]" if ":" in address else address
    port = job.streaming_server_port or 0
    if not re.fullmatch(ADDRESS, address) or not 0 < port <= LAST_PORT:
        raise ComputeHordeError(
            f"job {job.uuid} names a server address that is none: {address!r:.100}, port {port}"
        )
    ours = {
        "base_url": f"https://{host}:{port}",
        "timeout": TIMEOUT,
        "trust_env": False,
        "verify": context,
    }
    return {**ours, **given}
