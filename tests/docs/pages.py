"""The pages for users of the SDK, and the programs in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from compute_horde_devnet.state import NetworkState

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "compute_horde_sdk" / "README.md",
    *sorted((ROOT / "docs" / "sdk").glob("*.md")),
]
FENCE = "```"


@dataclass(frozen=True)
class Block:
    """A fenced block: its info words, its text, and the line of the page where the text starts."""

    kind: str
    runs: bool
    line: int
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page; those of a list are indented."""
    start: int | None = None
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith(FENCE):
            continue
        if start is None:
            start = number
            continue
        kind, *words = lines[start - 1].lstrip().removeprefix(FENCE).split() or [""]
        text = dedent("\n".join(lines[start : number - 1]))
        yield Block(kind, "no-run" not in words, start + 1, text)
        start = None
    assert start is None, f"{page}: the block at line {start} has no end"


def names(state: NetworkState, web: str) -> Mapping[str, str]:
    """What stands in pages for names of the reader's own, and those of the network."""
    return {
        "my-username/my-image:latest": state.image,
        "always_on__llm__a6000": "always_on__test",
        "always_on.llm.a6000": "always_on.test",
        "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty": state.validators[0].hotkey,
        "https://my-files.example": web,
        "VALIDATOR'S HOTKEY": state.validators[0].hotkey,
        "http://127.0.0.1:PORT": state.facilitator.url,
        "compute-horde/busybox:1": state.image,
        '"client", hotkey="default", path=".dev/network/wallets"': (
            '"my-wallet", hotkey="my-hotkey"'
        ),
    }


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """The text with the network's names."""
    for name, ours in replacements.items():
        text = text.replace(name, ours)
    return text
