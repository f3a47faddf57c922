"""The broker's HTTP interface. An enclave's host talks to it; it decides nothing itself.

    POST /v1/challenges   {"deal": "0x..."}      → a Challenge
    POST /v1/releases     a ReleaseRequest       → a Release
    GET  /v1/health                              → {"broker": "0x...", "status": "ok"}

Refusals name the obligation that failed, and are logged with the deal; keys and evidence never are.
"""

from __future__ import annotations

import logging

import anyio.to_thread
import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from heartify.broker.key_broker import KeyBroker
from heartify.errors import HeartifyError
from heartify.party.http_service import build_service, json_answer, read_body
from heartify.protocol.canonical import Digest, parse_json
from heartify.protocol.key_release import ReleaseRequest

log = logging.getLogger("heartify.broker")


class ChallengeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a challenge request."""

    deal: Digest


def build_broker_service(broker: KeyBroker) -> FastAPI:
    """Return the HTTP application of a broker."""
    app = build_service("Heartify key broker")

    async def create_challenge(request: Request) -> Response:
        body = parse_json(await read_body(request), ChallengeRequest)
        return json_answer(await anyio.to_thread.run_sync(broker.challenge, body.deal))

    async def create_release(request: Request) -> Response:
        body = parse_json(await read_body(request), ReleaseRequest)
        try:
            release = await anyio.to_thread.run_sync(broker.release, body)
        except HeartifyError as exc:
            log.warning("release refused for version %s: %s", body.dataset_version, exc.message)
            raise
        log.info("keys of version %s released to enclave %s", body.dataset_version, body.enclave)
        return json_answer(release)

    async def health(_request: Request) -> Response:
        return json_answer({"broker": broker.address, "status": "ok"})

    app.add_route("/v1/challenges", create_challenge, methods=["POST"])
    app.add_route("/v1/releases", create_release, methods=["POST"])
    app.add_route("/v1/health", health, methods=["GET"])
    return app
