"""The simulated PCCS as an HTTP application, for tests and trials on one machine.

It serves a simulated platform's collateral, issued at the moment of asking, to whoever asks. It must never be listed as
the collateral service of anybody who means to keep real data.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response

from heartify.attestation.collateral_service.unsafe_simulated_pccs import UnsafeSimulatedPccs
from heartify.attestation.simulated import SimulatedPlatform
from heartify.party.http_service import build_service


def simulated_pccs_of(platform: SimulatedPlatform, clock: Callable[[], float] = time.time) -> UnsafeSimulatedPccs:
    """Return the PCCS of a simulated platform, for SGX and TDX."""
    return UnsafeSimulatedPccs(platform.identity.fmspc, lambda tee: platform.collateral(int(clock()), tdx=tee == "tdx"))


def build_simulated_pccs_service(pccs: UnsafeSimulatedPccs) -> FastAPI:
    """Return the HTTP application."""
    app = build_service("Simulated PCCS, not Intel's")

    async def answer(request: Request) -> Response:
        answered = pccs.answer(f"{request.url.path}?{request.url.query}")
        return Response(answered.body, status_code=answered.status, headers=dict(answered.headers))

    app.add_route("/{path:path}", answer, methods=["GET"])
    return app
