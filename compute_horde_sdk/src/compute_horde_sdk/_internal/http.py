"""Requests to a facilitator: login, retries, and one tree of errors.

Connections belong to the event loop that opened them, so each loop gets its own.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from compute_horde_common.clock import Clock
from compute_horde_common.protocol import rest
from compute_horde_common.protocol.signatures import Signer
from compute_horde_sdk._internal.answers import parsed
from compute_horde_sdk._internal.errors import (
    ComputeHordeAPIError,
    ComputeHordeError,
    ComputeHordeNotFoundError,
    ComputeHordeValidationError,
)
from compute_horde_sdk._internal.spec import compact_json

logger = logging.getLogger(__name__)

API_PATH = "/api/v1"
IDEMPOTENCY_KEY = "Idempotency-Key"
ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0

# Nothing of the request can have been understood, so it may be repeated whatever it was.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
)
_WEB_ERRORS = (httpx.HTTPError, httpx.InvalidURL)
_Errors = type[httpx.HTTPError] | tuple[type[httpx.HTTPError], ...]
_LIVE_NETWORK = {"Realm": "mainnet", "SubnetID": "12"}
_JSON = {"Content-Type": "application/json"}
Parameters = Mapping[str, str | list[str]]


@dataclass
class _Session:
    web: httpx.AsyncClient
    login: asyncio.Lock = field(default_factory=asyncio.Lock)


class Facilitator:
    """A facilitator, seen by one hotkey."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        request_timeout: float = ANSWER_SECONDS,
    ) -> None:
        self._url = base_url(url)
        self._signer = signer
        self._clock = clock
        self._transport = transport
        self._timeout = httpx.Timeout(CONNECT_SECONDS, read=_seconds(request_timeout))
        self._limit = CONNECT_SECONDS + _seconds(request_timeout)
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, _Session]
        self._sessions = WeakKeyDictionary()
        self._token: str | None = None
        self._closed = False

    async def get(self, path: str, params: Parameters | None = None) -> httpx.Response:
        """What the API answers to a GET.

        Raises:
            ComputeHordeError: it does not, or with an error.
        """
        return await self._authorised("GET", path, params=params, repeatable=httpx.TransportError)

    async def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """What the API answers to a POST of JSON. One whose answer got lost is repeated if its
        headers have an idempotency key.

        Raises:
            ComputeHordeError: it does not, or with an error.
        """
        repeatable = httpx.TransportError if IDEMPOTENCY_KEY in headers else _NOT_SENT
        return await self._authorised(
            "POST", path, content=content, headers=headers, repeatable=repeatable
        )

    async def stream(
        self, path: str, *, params: Parameters, headers: Mapping[str, str], silence: float
    ) -> httpx.Response:
        """An answer that goes on, whatever it is; the caller reads and closes it.

        Args:
            path: what to GET.
            params: its parameters.
            headers: its headers.
            silence: seconds after which `httpx.ReadTimeout` is raised if nothing comes.

        Raises:
            ComputeHordeError: the facilitator does not let this hotkey in.
            httpx.HTTPError: there is no answer.
        """
        timeout = httpx.Timeout(CONNECT_SECONDS, read=silence)

        async def send(token: str) -> httpx.Response:
            web = self._open().web
            sent = {**headers, **_authorisation(token)}
            url = f"{self._url}{API_PATH}{path}"
            request = web.build_request("GET", url, params=params, headers=sent, timeout=timeout)
            return await web.send(request, stream=True)

        token = await self._token_other_than(None)
        response = await send(token)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            await response.aclose()
            response = await send(await self._token_other_than(token))
        return response

    async def login(self) -> None:
        """Gets a token, by signing a nonce.

        Raises:
            ComputeHordeError: no token was given.
        """
        answer = await self._repeated(self._ask_for_token, httpx.TransportError)
        token = parsed(rest.Token, _successful(answer, not_found=ComputeHordeAPIError)).token
        if not token or not token.isascii() or not token.isprintable():
            raise ComputeHordeError("ComputeHorde gave a login token that cannot be sent")
        self._token = token
        logger.info("logged in to the facilitator")

    async def aclose(self) -> None:
        """Closes all connections; the facilitator cannot be asked any more."""
        self._closed = True
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        self._sessions.clear()
        if session is not None:
            await session.web.aclose()

    async def _ask_for_token(self) -> httpx.Response:
        answer = await self._send("GET", f"{self._url}/auth/nonce")
        if not answer.is_success:
            return answer
        nonce = parsed(rest.Nonce, answer).nonce
        login = rest.Login(
            hotkey=self._signer.ss58,
            signature=self._signer.sign(nonce.encode()).hex(),
            nonce=nonce,
        )
        content = compact_json(login.model_dump())
        return await self._send("POST", f"{self._url}/auth/login", content=content, headers=_JSON)

    async def _authorised(
        self,
        method: str,
        path: str,
        *,
        repeatable: _Errors,
        params: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        token = await self._token_other_than(None)

        async def send() -> httpx.Response:
            sent = {
                **(headers or {}),
                **_authorisation(token),
                **(_JSON if content is not None else {}),
            }
            url = f"{self._url}{API_PATH}{path}"
            return await self._send(method, url, params=params, content=content, headers=sent)

        response = await self._repeated(send, repeatable)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            token = await self._token_other_than(token)
            response = await self._repeated(send, repeatable)
        return _successful(response, not_found=ComputeHordeNotFoundError)

    async def _token_other_than(self, refused: str | None) -> str:
        async with self._open().login:
            if self._token is None or self._token == refused:
                await self.login()
            return self._token or ""

    async def _repeated(
        self, send: Callable[[], Awaitable[httpx.Response]], repeatable: _Errors
    ) -> httpx.Response:
        """The answer of the first attempt that is no passing trouble, or of the last one."""
        for attempt in range(1, ATTEMPTS):
            try:
                response = await send()
            except repeatable as error:
                trouble = type(error).__name__
            except _WEB_ERRORS as error:
                raise _failed(error) from error
            else:
                if not _is_passing(response, repeatable):
                    return response
                trouble = f"status {response.status_code}"
            logger.info("request to the facilitator is repeated after %s", trouble)
            await self._pause(attempt)
        try:
            return await send()
        except _WEB_ERRORS as error:
            raise _failed(error) from error

    async def _send(
        self,
        method: str,
        url: str,
        *,
        params: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        web = self._open().web
        try:
            # httpx's own limit is for each piece of the answer.
            async with self._clock.timeout(self._limit):
                return await web.request(
                    method, url, params=params, content=content, headers=headers
                )
        except asyncio.TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {self._limit:g} seconds") from None

    async def _pause(self, attempt: int) -> None:
        jitter = secrets.randbelow(1000) / 1000
        seconds = min(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) + jitter, LONGEST_WAIT_SECONDS)
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))

    def _open(self) -> _Session:
        if self._closed:
            raise ComputeHordeError("this client is closed; make a new ComputeHordeClient")
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = _Session(self._web())
        return self._sessions[loop]

    async def _refuse_strangers(self, request: httpx.Request) -> None:
        """What is sent is for the facilitator alone, wherever that redirects to."""
        ours, theirs = httpx.URL(self._url), request.url
        is_upgrade = (ours.scheme, theirs.scheme) == ("http", "https")
        is_same = (theirs.scheme, theirs.port) == (ours.scheme, ours.port)
        if theirs.host != ours.host or not (is_same or is_upgrade):
            raise ComputeHordeError(
                f"the facilitator redirects to {theirs.scheme}://{theirs.netloc.decode()};"
                " give that as facilitator_url if you trust it"
            )

    def _web(self) -> httpx.AsyncClient:
        # Proxies and certificates come from the environment, and may be wrong there.
        try:
            return httpx.AsyncClient(
                timeout=self._timeout,
                transport=self._transport,
                follow_redirects=True,
                event_hooks={"request": [self._refuse_strangers]},
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise ComputeHordeError(
                "connections cannot be made; look at HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE in"
                f" the environment: {error}"
            ) from error


def _authorisation(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **_LIVE_NETWORK}


def _seconds(request_timeout: object) -> float:
    if isinstance(request_timeout, int | float) and 0 < request_timeout < math.inf:
        return float(request_timeout)
    raise ComputeHordeValidationError("request_timeout", "must be a number of seconds above 0")


def base_url(url: str) -> str:
    """The part of a facilitator's URL that all others start with; ``/api/v1/`` at its end is cut.

    Raises:
        ComputeHordeValidationError: it is no http or https URL.
    """
    problem = "must be an http or https URL, e.g. https://facilitator.computehorde.io/"
    if not isinstance(url, str):
        raise ComputeHordeValidationError("facilitator_url", problem)
    base = url.strip().rstrip("/").removesuffix(API_PATH).rstrip("/")
    try:
        parts = urlsplit(base)
        httpx.URL(base)
        (parts.hostname or "").encode("idna")
        _ = parts.port
    except (ValueError, httpx.InvalidURL) as error:
        raise ComputeHordeValidationError("facilitator_url", f"{problem}: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ComputeHordeValidationError("facilitator_url", problem)
    return base


def _is_passing(response: httpx.Response, repeatable: _Errors) -> bool:
    code = response.status_code
    if code in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
        return True
    # Another server error may come after the request was carried out.
    return code >= httpx.codes.INTERNAL_SERVER_ERROR and repeatable is not _NOT_SENT


def is_passing_trouble(error: ComputeHordeError) -> bool:
    """Whether the same question may well be answered a little later."""
    if isinstance(error, ComputeHordeAPIError):
        code = error.status_code
        return code == httpx.codes.TOO_MANY_REQUESTS or code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error.__cause__, httpx.TransportError)


def _successful(
    response: httpx.Response, *, not_found: type[ComputeHordeAPIError]
) -> httpx.Response:
    if response.is_success:
        return response
    kind = not_found if response.status_code == httpx.codes.NOT_FOUND else ComputeHordeAPIError
    raise kind.answered(response.status_code, response.text)


def _failed(error: Exception) -> ComputeHordeError:
    return ComputeHordeError(f"ComputeHorde request failed: {type(error).__name__}: {error}")
