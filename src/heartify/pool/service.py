"""The pool's HTTP interface for labs: hand in a plan, ask how it goes, fetch the bundle.

    POST /v1/work-orders                 {"deal", "plan", "result_key"}  → {"deal", "state"}
    GET  /v1/work-orders/{deal}                                          → {"deal", "state", "step", "problem"}
    GET  /v1/work-orders/{deal}/bundle                                   → a ResultBundle
    GET  /v1/health                                                      → {"pool", "status", "isolation"}

A plan is public, and taken only when it hashes to the deal's digest. The bundle is public too: its payload is sealed.
"""

from __future__ import annotations

import anyio.to_thread
import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from heartify.chain.market import MarketClient
from heartify.errors import InputError, PolicyError, UsageError
from heartify.party.http_service import build_service, json_answer, read_body
from heartify.pool.work_orders import WorkOrder, WorkOrders
from heartify.protocol.canonical import Digest, HexBytes, parse_json, sha256_digest, to_bytes
from heartify.protocol.plan import parse_plan
from heartify.protocol.sealing import check_sealing_public_key


class WorkOrderSubmission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a lab hands in after a match."""

    deal: Digest
    plan: HexBytes
    result_key: HexBytes


def accept_work_order(
    orders: WorkOrders, market: MarketClient, pool: str, submission: WorkOrderSubmission
) -> WorkOrder:
    """Check a submission against its deal on chain, and queue it durably.

    Raises:
        ChainError: no such deal.
        PolicyError: the deal is another pool's.
        InputError: plan or key aren't the deal's, or the plan makes no sense.
        IntegrityError: nothing can be sealed to the key.
    """
    deal = market.find_deal(submission.deal).deal
    if deal.pool != pool:
        raise PolicyError(f"the deal is for the pool {deal.pool}")
    plan, result_key = to_bytes(submission.plan), to_bytes(submission.result_key)
    if sha256_digest(plan) != deal.planDigest or sha256_digest(result_key) != deal.resultKeyDigest:
        raise InputError("the plan or the result key is not the one that the deal names")
    parse_plan(plan)
    check_sealing_public_key(result_key)
    orders.add(submission.deal, deal.deadline)
    orders.queue(submission.deal, plan, result_key)
    return orders.get(submission.deal)


def build_pool_service(orders: WorkOrders, market: MarketClient, pool: str, isolation: str) -> FastAPI:
    """Return the HTTP application of a pool."""
    app = build_service("Heartify worker pool")

    async def submit(request: Request) -> Response:
        body = parse_json(await read_body(request), WorkOrderSubmission)
        order = await anyio.to_thread.run_sync(accept_work_order, orders, market, pool, body)
        return json_answer(_summary(order))

    async def status(request: Request) -> Response:
        return json_answer(_summary(orders.get(request.path_params["deal"])))

    async def bundle(request: Request) -> Response:
        order = orders.get(request.path_params["deal"])
        if order.bundle is None:
            raise UsageError(f"the deal {order.deal_id} has no result bundle yet; it is {order.state.value}")
        return Response(order.bundle, media_type="application/json")

    async def health(_request: Request) -> Response:
        return json_answer({"pool": pool, "status": "ok", "isolation": isolation})

    app.add_route("/v1/work-orders", submit, methods=["POST"])
    app.add_route("/v1/work-orders/{deal}", status, methods=["GET"])
    app.add_route("/v1/work-orders/{deal}/bundle", bundle, methods=["GET"])
    app.add_route("/v1/health", health, methods=["GET"])
    return app


def _summary(order: WorkOrder) -> dict[str, str]:
    return {"deal": order.deal_id, "state": order.state.value, "step": order.step, "problem": order.problem}
