"""Requests to a facilitator: login, retries, and errors that name what went wrong."""

import asyncio
import random
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from compute_horde_common.clock import Clock
from compute_horde_common.protocol.rest import Nonce, Token
from compute_horde_sdk._internal.errors import (
    ComputeHordeAPIError,
    ComputeHordeConnectionError,
    ComputeHordeError,
    ComputeHordeNotFoundError,
    ComputeHordeResponseError,
)

ATTEMPTS = 5
LONGEST_PAUSE_SECONDS = 5.0
TIMEOUT_SECONDS = 15.0
API = "api/v1/"
_EXTRA_HEADERS = {"Realm": "mainnet", "SubnetID": "12"}

M = TypeVar("M", bound=BaseModel)


class SigningKey(Protocol):
    """A hotkey: bittensor's keypair, or anything that has these two."""

    @property
    def ss58_address(self) -> str:
        """Its public address."""
        ...

    def sign(self, data: Any) -> bytes:  # noqa: ANN401 - bytes; libraries differ in what else
        """The 64-byte sr25519 signature."""
        ...


def base_url(url: str) -> str:
    """The facilitator's root, with a slash at its end, whether or not ``url`` names the API."""
    root = url.rstrip("/") + "/"
    return root.removesuffix(API)


class FacilitatorHttp:
    """One facilitator, as one hotkey.

    Connections belong to the event loop that is running; another loop gets new ones.
    """

    def __init__(
        self,
        hotkey: SigningKey,
        url: str,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._hotkey = hotkey
        self._root = base_url(url)
        self._clock = clock
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._login_lock = asyncio.Lock()
        self._token: str | None = None

    async def aclose(self) -> None:
        """Closes all connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def login(self) -> None:
        """Gets a new token.

        Raises:
            ComputeHordeError: this hotkey is not let in, or the facilitator cannot be reached.
        """
        nonce = _parsed(Nonce, await self._retried("GET", "auth/nonce")).nonce
        signature = bytes(self._hotkey.sign(nonce.encode())).hex()
        body = {"hotkey": self._hotkey.ss58_address, "signature": signature, "nonce": nonce}
        answer = await self._retried("POST", "auth/login", json=body)
        self._token = _parsed(Token, answer).token

    async def request(self, method: str, path: str, model: type[M], **options: Any) -> M:  # noqa: ANN401 - httpx's
        """The answer to a request to the API, as ``model``.

        Raises:
            ComputeHordeError: see there.
        """
        return _parsed(model, await self.raw(method, path, **options))

    async def raw(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """The answer to a request to the API; logs in when there is no token, or a stale one."""
        token = await self._ensure_token(None)
        try:
            return await self._as(token, method, path, options)
        except ComputeHordeAPIError as error:
            if error.status_code != httpx.codes.UNAUTHORIZED:
                raise
        token = await self._ensure_token(token)
        return await self._as(token, method, path, options)

    async def _as(
        self, token: str, method: str, path: str, options: dict[str, Any]
    ) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            **_EXTRA_HEADERS,
            **options.get("headers", {}),
        }
        return await self._retried(method, API + path, **{**options, "headers": headers})

    async def _ensure_token(self, stale: str | None) -> str:
        async with self._lock():
            if self._token is None or self._token == stale:
                self._token = None
                await self.login()
            if self._token is None:
                raise ComputeHordeResponseError("the facilitator gave no token")
            return self._token

    async def _retried(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """Tries again what may be mended by time. Creates carry an idempotency key, so that a
        request whose answer was lost can be sent again, too."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._http().request(method, self._root + path, **options)
            except httpx.TransportError as error:
                failure: ComputeHordeError = ComputeHordeConnectionError(
                    f"ComputeHorde request failed: {method} {self._root}{path}:"
                    f" {error or type(error).__name__}"
                )
                cause: Exception | None = error
            except httpx.HTTPError as error:
                raise ComputeHordeConnectionError(
                    f"ComputeHorde request failed: {error}"
                ) from error
            else:
                if answer.is_success:
                    return answer
                failure, cause = _refused(answer), None
                if not _worth_another_try(answer.status_code):
                    raise failure
            if attempt == ATTEMPTS:
                raise failure from cause
            await self._pause(attempt)
        raise AssertionError("unreachable")

    async def _pause(self, attempt: int) -> None:
        jitter = random.random()  # noqa: S311 - spreads load, protects nothing
        pause = min(0.2 * 2 ** (attempt - 1) + jitter, LONGEST_PAUSE_SECONDS)
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=pause))

    def _http(self) -> httpx.AsyncClient:
        self._follow_loop()
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT_SECONDS, follow_redirects=True, transport=self._transport
            )
        return self._client

    def _lock(self) -> asyncio.Lock:
        self._follow_loop()
        return self._login_lock

    def _follow_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._client, self._login_lock = loop, None, asyncio.Lock()


def _worth_another_try(status: int) -> bool:
    return status == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(status)


def _refused(answer: httpx.Response) -> ComputeHordeAPIError:
    if answer.status_code == httpx.codes.NOT_FOUND:
        return ComputeHordeNotFoundError(answer.status_code, answer.text)
    return ComputeHordeAPIError(answer.status_code, answer.text)


def _parsed(model: type[M], answer: httpx.Response) -> M:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise ComputeHordeResponseError(
            f"the answer of {answer.url} cannot be read: {error.errors()[0]['msg']}"
        ) from error
