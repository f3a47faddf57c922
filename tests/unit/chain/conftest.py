"""A JSON-RPC node of canned answers on the loopback interface: what a real node says, without one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Callable[[str, list[Any]], dict[str, Any]]


class CannedNode:
    """Answers each request by `answer(method, params)`; `seen` lists the methods asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.answers: dict[str, Any] = {"eth_chainId": {"result": "0x7a69"}}
        self.raw: bytes | None = None
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = node.raw if node.raw is not None else node.respond(request)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.rpc_url = f"http://127.0.0.1:{self._server.server_port}"

    def respond(self, request: dict[str, Any]) -> bytes:
        self.seen.append(request["method"])
        answer = self.answers.get(request["method"], {"error": {"code": -32601, "message": "method not found"}})
        if callable(answer):
            answer = answer(request["params"])
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def node() -> Iterator[CannedNode]:
    canned = CannedNode()
    yield canned
    canned.close()
