"""`Message`, and the codec from text to one member of a union of messages."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

M = TypeVar("M")


class Message(BaseModel):
    """One frame on a link. Frozen; members that we do not know are ignored, peers may be newer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class MalformedMessage(ValueError):
    """A frame that is no member of its union. ``reason`` is fit to be shown to the peer.

    ``errors`` holds the faults one by one, in pydantic's form without the offending input.
    """

    def __init__(self, reason: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.errors = errors or []


class Codec(Generic[M]):
    """Text to one of the messages of a union, or `MalformedMessage`."""

    def __init__(self, union: Any) -> None:  # noqa: ANN401 - a type form, which typing cannot name
        self._adapter: TypeAdapter[M] = TypeAdapter(union)

    def decode(self, text: str | bytes) -> M:
        """The message in ``text``.

        Raises:
            MalformedMessage: ``text`` is no JSON, or none of the union's messages.
        """
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            shown = "; ".join(f"{_path(fault['loc'])}: {fault['msg']}" for fault in faults[:5])
            raise MalformedMessage(
                f"not a valid message: {shown}", [dict(fault) for fault in faults[:5]]
            ) from None


def encode(message: BaseModel) -> str:
    """The wire text of a message: compact JSON, null members included."""
    return message.model_dump_json()


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "frame"
