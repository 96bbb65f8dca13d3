"""A facilitator that accepts exactly the requests which it expects, by facts about the published
SDK's, and checks their signatures itself."""

import base64
import hashlib
import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from compute_horde_common.chain.keys import verify
from tests.published import ALICE

HOST = "facilitator.test"
NONCE = "30bc9dba71be70b9fb7644cb2c90420d:1stub0:ZLAfC3qsqzEXU4fQuclqitc6I0k"
TOKEN = "stub-jwt-f8c501f46a29fcf1"

EVERYWHERE = {
    "host": HOST,
    "accept-encoding": "…",
    "connection": "keep-alive",
    "user-agent": "…",
}
AUTHORISED = {"authorization": f"Bearer {TOKEN}", "realm": "mainnet", "subnetid": "12"}
JSON = {"content-type": "application/json", "content-length": "…"}
SIGNED = {
    "x-ch-signature-type": "bittensor",
    "x-ch-signatory": ALICE,
    "x-ch-timestamp-ns": "…",
    "x-ch-signature": "…",
}
VARYING = {
    "accept-encoding",
    "user-agent",
    "content-length",
    "x-ch-timestamp-ns",
    "x-ch-signature",
    "idempotency-key",
}
# Of these members is the signed text made, in this order; the values stand for absent ones.
SIGNED_MEMBERS: dict[str, Any] = {
    "executor_class": None,
    "docker_image": None,
    "args": None,
    "env": None,
    "use_gpu": None,
    "artifacts_dir": None,
    "on_trusted_miner": None,
    "download_time_limit": None,
    "execution_time_limit": None,
    "upload_time_limit": None,
    "streaming_start_time_limit": None,
    "streaming_details": None,
    "volumes": [],
    "uploads": [],
}

Scope = Literal["SignedFields", "FullRequest"]


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. ``added`` are headers of ours that the published SDK lacks."""

    method: str
    target: str
    answer: httpx.Response
    body: Any = None
    scope: Scope | None = None
    added: frozenset[str] = frozenset()
    authorised: bool = True
    accept: str = "*/*"

    def seen(self) -> dict[str, Any]:
        """What `seen` is to find in the request."""
        headers = EVERYWHERE | {"accept": self.accept} | (AUTHORISED if self.authorised else {})
        headers |= JSON if self.body is not None else {}
        headers |= SIGNED | {"x-ch-signature-scope": self.scope} if self.scope else {}
        headers |= dict.fromkeys(self.added, "…")
        return {
            "line": f"{self.method} {self.target}",
            "headers": headers,
            "body": compact(self.body) if self.body is not None else "",
        }


class StrictFacilitator:
    """Answers each of the ``expected`` exchanges once, in their order, and nothing else."""

    def __init__(self) -> None:
        self.expected: deque[Exchange] = deque()
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def expect(self, *exchanges: Exchange) -> None:
        self.expected.extend(exchanges)

    def expect_login(self) -> None:
        """The two requests that come before the first other one."""
        self.expect(
            Exchange(
                "GET", "/auth/nonce", httpx.Response(200, json={"nonce": NONCE}), authorised=False
            ),
            Exchange(
                "POST",
                "/auth/login",
                httpx.Response(200, json={"token": TOKEN}),
                body={"hotkey": ALICE, "signature": "…", "nonce": NONCE},
                authorised=False,
            ),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert self.expected, f"one request too many: {request.method} {request.url}"
        self.requests.append(request)
        exchange = self.expected.popleft()
        assert seen(request) == exchange.seen()
        if exchange.scope is not None:
            _check_signature(request, exchange.scope)
        return exchange.answer


def seen(request: httpx.Request) -> dict[str, Any]:
    """Everything about a request, with ``…`` for what differs from one to the next."""
    names = [name.lower().decode() for name, _ in request.headers.raw]
    assert len(names) == len(set(names))
    headers = {name: "…" if name in VARYING else request.headers[name] for name in names}
    if "content-length" in headers:
        assert request.headers["content-length"] == str(len(request.content))
    return {
        "line": f"{request.method} {request.url.raw_path.decode()}",
        "headers": headers,
        "body": _without_what_varies(request.content.decode()),
    }


def compact(body: Any) -> str:  # noqa: ANN401 - any JSON
    """The JSON text that the published SDK sends."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def signed_text(body: dict[str, Any], scope: Scope) -> str:
    """The text that the published SDK signs."""
    if scope == "FullRequest":
        return json.dumps(body, sort_keys=True)
    signed = {name: body.get(name, absent) for name, absent in SIGNED_MEMBERS.items()}
    signed["artifacts_dir"] = signed["artifacts_dir"] or ""
    if signed["streaming_details"]:
        signed["streaming_details"] = {**signed["streaming_details"], "executor_ip": None}
    return compact(signed)


def digest(text: str, timestamp_ns: int) -> bytes:
    """The 64 bytes that are signed for a text."""
    payload = json.dumps(text).encode()
    return hashlib.blake2b(timestamp_ns.to_bytes(8, "big") + payload).digest()


def _check_signature(request: httpx.Request, scope: Scope) -> None:
    text = signed_text(json.loads(request.content), scope)
    signed = digest(text, int(request.headers["x-ch-timestamp-ns"]))
    assert verify(ALICE, signed, base64.b64decode(request.headers["x-ch-signature"]))


def _without_what_varies(text: str) -> str:
    """The body, without the signature of a login and the certificate of a streaming job."""
    body = json.loads(text) if text else {}
    if list(body) == ["hotkey", "signature", "nonce"]:
        raw = bytes.fromhex(body["signature"])
        assert verify(body["hotkey"], body["nonce"].encode(), raw)
        return text.replace(body["signature"], "…")
    if details := body.get("streaming_details"):
        return text.replace(json.dumps(details["public_key"]), '"…"')
    return text
