"""How a Heartify service speaks HTTP: one JSON document in, one out, errors by class and without stack traces.

Services listen on loopback by default. Requests are bounded in size, in the time of their head and of their body, and
in number at once, so that slow clients can't hold a service. Nothing of a request's body is ever logged.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from heartify.errors import ChainError, HeartifyError, InputError, ServiceError, UsageError
from heartify.party.http_deadline import DeadlineProtocol
from heartify.party.tls import TlsFiles

MAX_BODY_BYTES = 16 * 1024 * 1024
BODY_SECONDS = 20.0
MAX_CONNECTIONS = 512


def build_service(title: str) -> FastAPI:
    """Return an application that answers Heartify errors as JSON: 400 input, 403 refusal, 404 unknown, 503 chain."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def answer_error(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HeartifyError):
            raise error
        return JSONResponse(error.diagnostics(), status_code=_status_of(error))

    app.add_exception_handler(HeartifyError, answer_error)
    return app


def json_answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with a msgspec document or plain values."""
    return Response(msgspec.json.encode(document), status, headers, media_type="application/json")


async def read_body(request: Request) -> bytes:
    """Read a request's body up to the limit of bytes and seconds.

    Raises:
        InputError: it is larger, or comes too slowly.
    """
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise InputError(f"a request must have at most {MAX_BODY_BYTES} bytes")
    except TimeoutError as exc:
        raise InputError(f"a request's body must be there within {BODY_SECONDS:g} seconds") from exc
    return bytes(body)


class RunningService:
    """A service in a thread of this process, for the Python API and the tests; use it as a context manager."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 0, tls: TlsFiles | None = None) -> None:
        self._socket = bind(host, port)
        self.url = f"{'https' if tls else 'http'}://{host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(_config(app, tls))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


def serve(
    app: FastAPI, listener: socket.socket, tls: TlsFiles | None = None, *, trusted_proxies: str | None = None
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    `trusted_proxies` are the addresses, divided by commas, whose word on a client's own address is believed.
    """
    uvicorn.Server(_config(app, tls, trusted_proxies)).run(sockets=[listener])


def port_of(url: str) -> int:
    """Return the port that a service's URL names, or that of its scheme."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening address now, so that a taken port is an error before anything else happens.

    Raises:
        ServiceError: the address can't be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise ServiceError(f"can't listen on {host}:{port}: {exc.strerror}", hint="choose another --port") from exc
    return listener


def _config(app: FastAPI, tls: TlsFiles | None, trusted_proxies: str | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=DeadlineProtocol,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
    )


def _status_of(error: HeartifyError) -> int:
    if isinstance(error, InputError):
        return 400
    if isinstance(error, UsageError):
        return 404
    return 503 if isinstance(error, (ChainError, ServiceError)) else 403
