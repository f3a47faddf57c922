"""Calls to another party's service: JSON in, JSON out, bounded in time and size.

The service is not believed: its address may be nonsense, its answer endless, deeply nested, or no JSON at all. Whatever
comes of that is a ServiceError.
"""

from __future__ import annotations

import functools
import ssl
import time
from typing import Any

import httpx
import msgspec

from heartify.errors import DocumentError, ServiceError, UnreachableError
from heartify.protocol.nesting import check_nesting

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MAX_TEXT = 500
_COME_BACK_LATER = (429, 502, 503, 504)


def get_json(url: str, *, timeout_seconds: float = 10.0) -> Any:
    """GET a JSON document.

    Raises:
        UnreachableError: no answer, or one that says to come back later.
        ServiceError: refused (with the service's own words), too slow, too large, or not JSON.
    """
    return _call("GET", url, None, timeout_seconds)


def post_json(url: str, document: Any, *, timeout_seconds: float = 30.0) -> Any:
    """POST a JSON document and return the answer; raises like get_json."""
    return _call("POST", url, msgspec.json.encode(document), timeout_seconds)


def _call(method: str, url: str, body: bytes | None, timeout_seconds: float) -> Any:
    # Identity only: a compressed answer could be small on the wire and endless here.
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    try:
        with (
            httpx.Client(timeout=timeout_seconds, trust_env=False, follow_redirects=False, verify=_tls()) as client,
            client.stream(method, url, content=body, headers=headers) as response,
        ):
            status, content = response.status_code, _read(url, response, time.monotonic() + timeout_seconds)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        message, hint = f"{url} can't be reached ({type(exc).__name__})", "is the service running?"
        may_come_back = isinstance(exc, httpx.TransportError) and not isinstance(exc, httpx.UnsupportedProtocol)
        raise (UnreachableError if may_come_back else ServiceError)(message, hint=hint) from exc
    try:
        check_nesting(content, "the answer")
        answer = msgspec.json.decode(content)
    except (DocumentError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ServiceError(f"{url} did not answer with JSON (status {status})") from exc
    if status != 200:
        said = answer if isinstance(answer, dict) else {}
        message = f"{url} refused: {_plain(said.get('message')) or 'no reason given'}"
        refusal = UnreachableError if status in _COME_BACK_LATER else ServiceError
        raise refusal(message, hint=_plain(said.get("hint")) or None)
    return answer


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the TLS settings; building them reads every root certificate, so it is done once."""
    return ssl.create_default_context()


def _read(url: str, response: httpx.Response, give_up: float) -> bytes:
    """Read an answer as it comes: each part within the client's timeout, the whole until `give_up`."""
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise ServiceError(f"{url} answered with over {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > give_up:
            raise ServiceError(f"{url} did not finish its answer in time")
    return bytes(content)


def _plain(text: object) -> str:
    """Return a service's words as one line of printable text, so that they can't steer a terminal."""
    if not isinstance(text, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in text[:_MAX_TEXT]).strip()
