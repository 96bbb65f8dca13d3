"""How the author of a streaming job gets at what it serves."""

import importlib
import ssl
from os import PathLike
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from compute_horde_sdk._internal.certificates import StreamingKey


class StreamingAccess:
    """The part of a job that is about streaming."""

    streaming_public_cert: "x509.Certificate | None"
    streaming_private_key: "rsa.RSAPrivateKey | None"

    @property
    def streaming_key(self) -> "StreamingKey | None":
        """What this object shows to its streaming job, to be saved; ``None`` if it has none."""
        if self.streaming_public_cert is None or self.streaming_private_key is None:
            return None
        certificates = importlib.import_module("compute_horde_sdk._internal.certificates")
        key: StreamingKey = certificates.StreamingKey(
            self.streaming_public_cert, self.streaming_private_key
        )
        return key

    def attach_streaming_key(
        self, streaming_key: "StreamingKey | str | bytes | PathLike[str]"
    ) -> None:
        """Lets this object talk to its streaming job, with the key of the one that created it.

        Args:
            streaming_key: its ``streaming_key``, what ``to_pem`` of that gave, or the path of the
                file that it was saved to.

        Raises:
            ComputeHordeError: the file cannot be read.
            ComputeHordeValidationError: it is no such key.
        """
        certificates = importlib.import_module("compute_horde_sdk._internal.certificates")
        key: StreamingKey = certificates.streaming_key(streaming_key)
        self.streaming_public_cert = key.certificate
        self.streaming_private_key = key.private_key

    def ssl_context(self) -> ssl.SSLContext:
        """For a connection to what a streaming job serves, at ``streaming_server_address`` and
        ``streaming_server_port``: trusts the job's certificate only, and shows this job's key.

        Raises:
            ComputeHordeError: the job has no server (yet, or any more), or this object no key.
        """
        streaming = importlib.import_module("compute_horde_sdk._internal.streaming")
        context: ssl.SSLContext = streaming.ssl_context(self)
        return context

    def http_client(self, **options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's
        """A client for what a streaming job serves: ``await http.get("/health")``. Close it, or use
        it with ``async with``.

        Args:
            options: of `httpx.AsyncClient`; the certificates cannot be changed.

        Raises:
            ComputeHordeError: as `ssl_context`.
        """
        streaming = importlib.import_module("compute_horde_sdk._internal.streaming")
        client: httpx.AsyncClient = streaming.http_client(self, options)
        return client
