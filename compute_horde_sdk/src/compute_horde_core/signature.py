"""Signatures as requests carry them, for programs that sign or check by themselves.

Checking needs the package ``bittensor-wallet``.
"""

import abc
import base64
import binascii
import importlib
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, PlainSerializer
from pydantic import ValidationError as _ValidationError
from typing_extensions import Self, override

from compute_horde_common.jobs.spec import JobSpec
from compute_horde_common.protocol import rest, signatures
from compute_horde_common.python310 import UTC, StrEnum
from compute_horde_sdk._internal.errors import ComputeHordeError
from compute_horde_sdk._internal.hotkey import HotkeySigner, SigningKey, Wallet

PREFIX = "X-CH-"


class SignatureException(ComputeHordeError):
    """Something is wrong with a signature."""


class SignatureNotFound(SignatureException):
    """There is none."""


class SignatureInvalidException(SignatureException):
    """It is not that signatory's, or not of that payload."""


class SignatureTimeoutException(SignatureInvalidException):
    """It is too old."""


class SignatureScope(StrEnum):
    """What of a request is signed."""

    SignedFields = "SignedFields"
    FullRequest = "FullRequest"


def _from_base64(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _to_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Signature(BaseModel):
    """A signature, its maker and its time (nanoseconds since 1970).

    ``signature`` is given and shown as base64, and is bytes.
    """

    model_config = ConfigDict(extra="forbid")

    signature_type: str = ""
    signatory: str = ""
    timestamp_ns: int = 0
    signature: Annotated[bytes, BeforeValidator(_from_base64), PlainSerializer(_to_base64)]
    signature_scope: SignatureScope = SignatureScope.SignedFields


class SignedFields(JobSpec):
    """What the author of a job signs: the compact JSON of this."""

    @classmethod
    def from_facilitator_sdk_json(cls, data: JsonValue) -> Self:
        """That part of a request's body.

        Raises:
            SignatureException: the body has no such part.
        """
        try:
            return cls.model_validate(data)
        except _ValidationError as error:
            raise SignatureException(f"the request's fields cannot be signed: {error}") from error


def signature_from_headers(headers: Mapping[str, str], prefix: str = PREFIX) -> Signature:
    """The signature in a request's headers, whose names are read in any case.

    Raises:
        SignatureNotFound: there is none, or it is malformed.
    """
    ours = {
        PREFIX + name[len(prefix) :]: text
        for name, text in headers.items()
        if name.lower().startswith(prefix.lower())
    }
    try:
        found = rest.signature_from_headers(ours)
    except signatures.BadSignature as error:
        raise SignatureNotFound(str(error)) from error
    return Signature.model_validate(found.model_dump())


def signature_to_headers(
    signature: Signature, scope: SignatureScope, prefix: str = PREFIX
) -> dict[str, str]:
    """The headers that carry a signature."""
    carried = signatures.Signature.model_validate(
        {**signature.model_dump(), "signature_scope": SignatureScope(scope).value}
    )
    headers = rest.signature_headers(carried)
    return {prefix + name.removeprefix(PREFIX): text for name, text in headers.items()}


def hash_message_signature(payload: JsonValue | bytes, signature: Signature) -> bytes:
    """The 64 bytes that are signed for a payload at the signature's time."""
    if not isinstance(payload, bytes):
        payload = json.dumps(payload, sort_keys=True).encode()
    return signatures.digest(signature.timestamp_ns, payload)


def signature_payload(
    method: str,
    url: str,
    headers: Mapping[str, str],  # noqa: ARG001 - the published signature
    json: JsonValue = None,
) -> JsonValue:
    """What is signed of a whole request: its method, path, query and JSON."""
    parts = urlsplit(url)
    path = parts._replace(scheme="", netloc="").geturl()
    return {"action": f"{method.upper()} {path}", "json": json}


class SignatureScheme(abc.ABC):
    """A way to sign."""

    signature_type: ClassVar[str]

    def payload_from_request(
        self, method: str, url: str, headers: Mapping[str, str], json: JsonValue = None
    ) -> JsonValue:
        """What is signed of a request."""
        return signature_payload(method, url, headers, json)


class Signer(SignatureScheme):
    """Somebody who signs."""

    def sign(self, payload: JsonValue | bytes) -> Signature:
        """The signature of a payload, made now."""
        signature = Signature(
            signature_type=self.signature_type,
            signatory=self.get_signatory(),
            timestamp_ns=time.time_ns(),
            signature=b"",
        )
        signature.signature = self._sign(hash_message_signature(payload, signature))
        return signature

    def signature_for_request(
        self, method: str, url: str, headers: Mapping[str, str], json: JsonValue = None
    ) -> Signature:
        """The signature of a whole request."""
        return self.sign(self.payload_from_request(method, url, headers, json))

    @abc.abstractmethod
    def _sign(self, payload: bytes) -> bytes: ...

    @abc.abstractmethod
    def get_signatory(self) -> str:
        """The signer's public name."""


class Verifier(SignatureScheme):
    """Somebody who checks."""

    def verify(
        self,
        payload: JsonValue | bytes,
        signature: Signature,
        newer_than: datetime | None = None,
    ) -> None:
        """Passes when this is its signatory's signature of the payload.

        Raises:
            SignatureInvalidException: it is not.
            SignatureTimeoutException: it was made before ``newer_than`` (local time if naive).
        """
        self._verify(hash_message_signature(payload, signature), signature)
        made = datetime.fromtimestamp(signature.timestamp_ns / 1e9, UTC)
        if newer_than is not None and newer_than.astimezone(UTC) > made:
            raise SignatureTimeoutException(f"the signature is of {made}: before {newer_than}")

    @abc.abstractmethod
    def _verify(self, payload: bytes, signature: Signature) -> None: ...


class BittensorSignatureScheme:
    """Signatures by hotkeys."""

    signature_type = "bittensor"


class BittensorWalletSigner(BittensorSignatureScheme, Signer):
    """Signs with a hotkey, or with that of a wallet.

    Raises:
        ComputeHordeValidationError: it cannot sign.
    """

    def __init__(self, wallet: SigningKey | Wallet) -> None:
        self._hotkey = HotkeySigner(wallet)

    @override
    def _sign(self, payload: bytes) -> bytes:
        return self._hotkey.sign(payload)

    @override
    def get_signatory(self) -> str:
        return self._hotkey.ss58


class BittensorWalletVerifier(BittensorSignatureScheme, Verifier):
    """Checks hotkeys' signatures."""

    @override
    def _verify(self, payload: bytes, signature: Signature) -> None:
        try:
            key = _wallets().Keypair(ss58_address=signature.signatory)
            genuine = key.verify(payload, signature.signature)
        except (ValueError, TypeError) as error:
            raise SignatureInvalidException(f"the signature is malformed: {error}") from error
        if not genuine:
            raise SignatureInvalidException(f"{signature.signatory} did not sign this")


class SignatureExtractor(Protocol):
    """Finds the signature in headers; raises `SignatureNotFound`."""

    def __call__(self, headers: Mapping[str, str], prefix: str = PREFIX) -> Signature:
        """The signature in headers."""
        ...


def verify_signature(
    payload: JsonValue | bytes, signature: Signature, *, newer_than: datetime | None = None
) -> None:
    """Passes when this is its signatory's signature of the payload.

    Raises:
        SignatureInvalidException: it is not, or is older than that.
    """
    BittensorWalletVerifier().verify(payload, signature, newer_than)


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    json: JsonValue = None,
    *,
    newer_than: datetime | None = None,
    signature_extractor: SignatureExtractor = signature_from_headers,
) -> Signature | None:
    """The signature of a whole request, ``None`` where there is none.

    Raises:
        SignatureInvalidException: it is not its signatory's, or is older than that.
    """
    try:
        signature = signature_extractor(headers)
    except SignatureNotFound:
        return None
    verify_signature(
        signature_payload(method, url, headers, json), signature, newer_than=newer_than
    )
    return signature


def _wallets() -> Any:  # noqa: ANN401 - the wallet library, which has no types
    try:
        return importlib.import_module("bittensor_wallet")
    except ModuleNotFoundError as error:
        raise SignatureException(
            'to check signatures, install the wallet library: pip install "bittensor-wallet>=4.1"'
        ) from error
