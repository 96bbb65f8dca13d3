"""A job on a rented machine."""

from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from typing_extensions import override

from compute_horde_sdk._internal.errors import ComputeHordeJobTimeoutError
from compute_horde_sdk._internal.fallback.exceptions import FallbackError, FallbackJobTimeoutError
from compute_horde_sdk._internal.fallback.spec import FallbackJobSpec
from compute_horde_sdk._internal.fallback.tunnel import LOCALHOST
from compute_horde_sdk._internal.job import (
    Client,
    ComputeHordeJob,
    JobProgressCallback,
    JobStatusCallback,
)
from compute_horde_sdk._internal.results import ComputeHordeJobResult
from compute_horde_sdk._internal.results import ComputeHordeJobStatus as FallbackJobStatus

STREAMING_SECONDS = 120

__all__ = ["FallbackJob", "FallbackJobResult", "FallbackJobSpec", "FallbackJobStatus"]


class TunnelClient(Client, Protocol):
    """What a fallback job needs of its client."""

    async def open_tunnel(self, job_uuid: str) -> int:
        """The port of this machine that leads to the job's server."""
        ...


@dataclass
class FallbackJobResult(ComputeHordeJobResult):
    """What a job left behind; the same as of a job of the network."""


class FallbackJob(ComputeHordeJob):
    """A job on a rented machine: a `ComputeHordeJob`, whose server is reached by a tunnel.

    Its ``streaming_server_address`` is this machine, without TLS.
    """

    _client: TunnelClient

    @override
    async def wait(
        self,
        timeout: float | None = None,
        status_callback: JobStatusCallback | None = None,
        *,
        progress_callback: JobProgressCallback | None = None,
        raise_on_failure: bool = False,
    ) -> None:
        """As `ComputeHordeJob.wait`.

        Raises:
            FallbackJobTimeoutError: it has not ended in time, and goes on running.
            FallbackError: the cloud cannot be asked.
        """
        try:
            await super().wait(
                timeout,
                status_callback,
                progress_callback=progress_callback,
                raise_on_failure=raise_on_failure,
            )
        except ComputeHordeJobTimeoutError as error:
            raise FallbackJobTimeoutError(str(error), job_uuid=self.uuid) from error

    @override
    async def wait_for_streaming(self, timeout: float | None = STREAMING_SECONDS) -> None:
        """As `ComputeHordeJob.wait_for_streaming`; opens the tunnel.

        Raises:
            FallbackJobTimeoutError: it cannot be reached in time.
            FallbackError: the job has ended, or the tunnel fails.
        """
        try:
            await super().wait_for_streaming(timeout)
        except ComputeHordeJobTimeoutError as error:
            raise FallbackJobTimeoutError(str(error), job_uuid=self.uuid) from error
        port = await self._client.open_tunnel(self.uuid)
        self.streaming_server_address, self.streaming_server_port = LOCALHOST, port

    @override
    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """A client for what a streaming job serves, through the tunnel.

        Raises:
            FallbackError: there is no tunnel; `wait_for_streaming` opens it.
        """
        if self.streaming_server_port is None:
            raise FallbackError(f"job {self.uuid} has no tunnel; await wait_for_streaming() first")
        url = f"http://{LOCALHOST}:{self.streaming_server_port}"
        return httpx.AsyncClient(**{"base_url": url, "trust_env": False, **options})
