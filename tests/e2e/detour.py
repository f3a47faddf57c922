"""A host between pool and broker, which the broker's registered address leads to: it may do anything on the way.

Each request is handed to `on_request` before the broker sees it, which may change it, act, or lose it; each answer to
`on_answer` before the pool sees it. A lost one ends the connection, as a broken network or a killed broker does.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class LostError(Exception):
    """Raised by a hook to lose the request, or the answer."""


def pass_on(_route: str, body: bytes) -> bytes:
    """Change nothing."""
    return body


class Detour:
    """Listens on a port of loopback and leads to a broker on another; a context manager."""

    def __init__(self, broker_port: int) -> None:
        self.on_request: Callable[[str, bytes], bytes] = pass_on
        self.on_answer: Callable[[str, bytes], bytes] = pass_on
        self.passed: list[str] = []
        detour = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._lead()

            def do_POST(self) -> None:
                self._lead()

            def _lead(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                try:
                    status, answer = detour.lead(broker_port, self.command, self.path, body)
                except (LostError, OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Return the address that is registered as the broker's."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def straight(self) -> None:
        """Change and lose nothing any more."""
        self.on_request = self.on_answer = pass_on
        self.passed.clear()

    def lead(self, port: int, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Take one request to the broker and its answer back."""
        route = path.rsplit("/", 1)[1]
        body = self.on_request(route, body)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.passed.append(f"{route} {answer.status}")
        return answer.status, self.on_answer(route, content)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
