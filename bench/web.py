"""One connection to a facilitator, with as little of its own to do as possible."""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


class Web:
    """Sends requests one after another; ``headers`` go with each of them."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        self.headers = {"Content-Type": "application/json"}

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - any JSON
        """The answer's JSON; ``SystemExit`` if it is an error."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {**self.headers, **(headers or {})})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:  # noqa: PLR2004 - the first of the errors
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500]!r}")
        return json.loads(content)
