"""A Hugging Face hub on loopback with one repository, for executors of the network."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

REPOSITORY = "my-username/my-model"
FILES = {"config.json": b'{"layers": 2}', "weights.bin": b"weights"}

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub() -> Iterator[str]:
    """Its URL."""
    with _Hub(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _pages() -> Mapping[str, bytes]:
    siblings = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
    told = {"id": REPOSITORY, "sha": _COMMIT, "siblings": siblings}
    files = {f"/{REPOSITORY}/resolve/{_COMMIT}/{name}": FILES[name] for name in FILES}
    return {f"/api/models/{REPOSITORY}": json.dumps(told).encode(), **files}


class _Hub(ThreadingHTTPServer):
    pages = _pages()


class _Answers(BaseHTTPRequestHandler):
    server: _Hub

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
