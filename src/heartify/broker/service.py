"""The broker's HTTP interface. An enclave's host talks to it; it decides nothing itself.

    POST /v1/challenges   {"deal": "0x..."}      → a Challenge
    POST /v1/releases     a ReleaseRequest       → a Release
    GET  /v1/receipts/{deal}                     → the key receipts signed for a deal: version, enclave, signature
    GET  /v1/audit/anchor                        → the newest signed head of the audit log, for whoever submits it
    GET  /v1/health                              → {"broker": "0x...", "status": "ok" | "paused"}

Refusals name the obligation that failed, and are logged with the deal; keys and evidence never are. Who asks too often
gets 429 with the seconds to wait; whoever is slow is closed by `party.http_service`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio.to_thread
import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from heartify.broker.key_broker import KeyBroker
from heartify.broker.rate_limits import RateLimiter, RateLimits
from heartify.errors import HeartifyError, UnreachableError, UsageError
from heartify.party.http_service import build_service, json_answer, read_body
from heartify.protocol.audit_anchor import SignedAuditAnchor
from heartify.protocol.canonical import Digest, parse_json
from heartify.protocol.key_release import ReleaseRequest

log = logging.getLogger("heartify.broker")


class ChallengeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a challenge request."""

    deal: Digest


class _DealPath(msgspec.Struct, frozen=True):
    deal: Digest


def build_broker_service(
    broker: KeyBroker,
    rates: RateLimits | None = None,
    newest_anchor: Callable[[], SignedAuditAnchor | None] = lambda: None,
) -> FastAPI:
    """Return the HTTP application of a broker; `newest_anchor` gives the newest signed head of its audit log."""
    app = build_service("Heartify key broker")
    routes = _Routes(broker, RateLimiter(rates or RateLimits()), newest_anchor)
    app.add_route("/v1/challenges", routes.create_challenge, methods=["POST"])
    app.add_route("/v1/releases", routes.create_release, methods=["POST"])
    app.add_route("/v1/receipts/{deal}", routes.list_receipts, methods=["GET"])
    app.add_route("/v1/audit/anchor", routes.show_anchor, methods=["GET"])
    app.add_route("/v1/health", routes.show_health, methods=["GET"])
    return app


class _Routes:
    """The handlers: count the client, read the body, one call of the broker in a thread, answer."""

    def __init__(
        self, broker: KeyBroker, limiter: RateLimiter, newest_anchor: Callable[[], SignedAuditAnchor | None]
    ) -> None:
        self._broker = broker
        self._limiter = limiter
        self._newest_anchor = newest_anchor

    async def create_challenge(self, request: Request) -> Response:
        body = parse_json(await read_body(request), ChallengeRequest)
        if wait := self._limiter.seconds_to_wait(_client(request), body.deal):
            return _come_back(wait)
        return json_answer(await anyio.to_thread.run_sync(self._broker.challenge, body.deal))

    async def create_release(self, request: Request) -> Response:
        # A client is counted before its body is read, which is the expensive part; a deal by its challenges.
        if wait := self._wait_of(request):
            return _come_back(wait)
        body = parse_json(await read_body(request), ReleaseRequest)
        try:
            release = await anyio.to_thread.run_sync(self._broker.release, body)
        except HeartifyError as exc:
            log.warning("release refused for version %s: %s", body.dataset_version, exc.message)
            raise
        log.info("keys of version %s released to enclave %s", body.dataset_version, body.enclave)
        return json_answer(release)

    async def list_receipts(self, request: Request) -> Response:
        if wait := self._wait_of(request):
            return _come_back(wait)
        asked = msgspec.json.encode({"deal": request.path_params["deal"]})
        return json_answer(await anyio.to_thread.run_sync(self._broker.receipts, parse_json(asked, _DealPath).deal))

    async def show_anchor(self, request: Request) -> Response:
        if wait := self._wait_of(request):
            return _come_back(wait)
        newest = await anyio.to_thread.run_sync(self._newest_anchor)
        if newest is None:
            raise UsageError("no head of the audit log was signed yet")
        return json_answer(newest)

    async def show_health(self, _request: Request) -> Response:
        status = await anyio.to_thread.run_sync(self._broker.standing)
        return json_answer({"broker": self._broker.address, "status": status})

    def _wait_of(self, request: Request) -> int:
        return self._limiter.seconds_to_wait_of_client(_client(request))


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _come_back(seconds: int) -> Response:
    refusal = UnreachableError("too many requests", hint=f"come back in {seconds} seconds")
    return json_answer(refusal.diagnostics(), 429, {"retry-after": str(seconds)})
