"""Runs the blocks of a page: ``python reader.py PAGE``, with names to replace (JSON) on stdin.

Blocks share one namespace and one event loop. A traceback names the page and the line in it.
"""

import ast
import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import CodeType

from tests.docs.pages import Block, blocks, replaced

SHELL_SECONDS = 120


def run(page: Path, replacements: dict[str, str]) -> None:
    """Runs a page from top to bottom."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in blocks(page):
            text = replaced(block.text, replacements)
            if block.kind == "python":
                _run_python(page, block, text, namespace, runner)
            if block.kind == "sh" and block.runs:
                _announce(page, block)
                command = ["bash", "-euo", "pipefail", "-c", text]
                subprocess.run(command, check=True, timeout=SHELL_SECONDS)


def _run_python(
    page: Path, block: Block, text: str, namespace: dict[str, object], runner: asyncio.Runner
) -> None:
    padded = "\n" * (block.line - 1) + text
    code = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not block.runs:
        return
    _announce(page, block)
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(_awaited(code, namespace))
    else:
        exec(code, namespace)  # noqa: S102 - our own pages


def _announce(page: Path, block: Block) -> None:
    sys.stdout.write(f"{page.name}:{block.line}\n")
    sys.stdout.flush()


async def _awaited(code: CodeType, namespace: dict[str, object]) -> None:
    await eval(code, namespace)  # noqa: S307 - our own pages


if __name__ == "__main__":
    run(Path(sys.argv[1]), json.load(sys.stdin))
