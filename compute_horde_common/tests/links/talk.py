"""A conversation of three messages, for tests of what carries it."""

from typing import Annotated, Literal

from pydantic import Field

from compute_horde_common.protocol.base import Codec, Message


class Hello(Message):
    kind: Literal["hello"] = "hello"
    name: str = ""


class Question(Message):
    kind: Literal["question"] = "question"
    about: str = ""


class Complaint(Message):
    kind: Literal["complaint"] = "complaint"
    reason: str


Words = Annotated[Hello | Question | Complaint, Field(discriminator="kind")]
CODEC: Codec[Words] = Codec(Words)
