"""The command line, against the fake facilitator behind a real port."""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

import httpx
import pytest
from bittensor_wallet import Keypair, Wallet
from typing_extensions import override

from compute_horde_sdk.cli import main
from tests.conftest import VALIDATOR
from tests.facilitator import FakeFacilitator


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str


Horde = Callable[..., Said]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    facilitator: FakeFacilitator


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        request = httpx.Request(
            self.command, f"http://facilitator{self.path}", headers=dict(self.headers), content=body
        )
        if self.path.split("?")[0].endswith("/events/"):
            answer = httpx.Response(404, json={"detail": "Not found."})
        else:
            answer = self.server.facilitator.answer(request)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def facilitator_url(facilitator: FakeFacilitator) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.facilitator = facilitator
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, keypair: Keypair) -> Path:
    """A home with a wallet in it."""
    wallets = tmp_path / ".bittensor" / "wallets"
    wallet = Wallet(name="my-wallet", hotkey="my-hotkey", path=str(wallets))
    wallet.set_hotkey(keypair, encrypt=False, overwrite=True)
    return tmp_path


@pytest.fixture
def anybody(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Horde:
    """Runs ``horde`` for somebody who has not logged in: within this process, which is fast."""
    (home / "work").mkdir()
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.chdir(home / "work")

    def run(*words: str, given: str | TextIO = "", env: Mapping[str, str] | None = None) -> Said:
        with monkeypatch.context() as during:
            for name, value in {**_environment(home), **(env or {})}.items():
                during.setenv(name, value)
            stdin = io.StringIO(given) if isinstance(given, str) else given
            during.setattr(sys, "stdin", stdin)
            with pytest.raises(SystemExit) as ended:
                main(words)
        out, err = (text.decode() for text in capfdbinary.readouterr())
        assert "Traceback" not in err
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, out, err)

    return run


def _environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}


@pytest.fixture
def horde(anybody: Horde, facilitator_url: str) -> Horde:
    """Runs ``horde`` for somebody who has logged in."""
    said = anybody(
        *("login", "--wallet", "my-wallet", "--hotkey", "my-hotkey", "--validator", VALIDATOR),
        *("--facilitator-url", facilitator_url, "--class", "always_on.test"),
        *("--namespace", "SN12.0"),
    )
    assert said.status == 0, said
    return anybody
