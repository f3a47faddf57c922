"""Calls to another party's service: JSON in, JSON out, bounded in time and size."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from heartify.errors import ServiceError

MAX_ANSWER_BYTES = 64 * 1024 * 1024


def get_json(url: str, *, timeout_seconds: float = 10.0) -> Any:
    """GET a JSON document.

    Raises:
        ServiceError: unreachable, refused (with the service's own words), or not JSON.
    """
    return _call("GET", url, None, timeout_seconds)


def post_json(url: str, document: Any, *, timeout_seconds: float = 30.0) -> Any:
    """POST a JSON document and return the answer; raises like get_json."""
    return _call("POST", url, msgspec.json.encode(document), timeout_seconds)


def _call(method: str, url: str, body: bytes | None, timeout_seconds: float) -> Any:
    try:
        with httpx.Client(timeout=timeout_seconds, trust_env=False, follow_redirects=False) as client:
            response = client.request(method, url, content=body, headers={"content-type": "application/json"})
    except httpx.HTTPError as exc:
        raise ServiceError(f"{url} can't be reached ({type(exc).__name__})", hint="is the service running?") from exc
    if len(response.content) > MAX_ANSWER_BYTES:
        raise ServiceError(f"{url} answered with over {MAX_ANSWER_BYTES} bytes")
    try:
        answer = msgspec.json.decode(response.content)
    except msgspec.DecodeError as exc:
        raise ServiceError(f"{url} did not answer with JSON (status {response.status_code})") from exc
    if response.status_code != 200:
        detail = answer.get("message", "no reason given") if isinstance(answer, dict) else "no reason given"
        hint = answer.get("hint") if isinstance(answer, dict) else None
        raise ServiceError(f"{url} refused: {detail}", hint=hint)
    return answer
