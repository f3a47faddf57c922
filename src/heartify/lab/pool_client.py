"""What a lab says to the pool of a deal, and hears: hand in the plan, ask how it goes, fetch the bundle.

The pool is not believed: its words are for people, and its bundle is verified before it is opened.
"""

from __future__ import annotations

import msgspec

from heartify.errors import ServiceError
from heartify.lab.home import DealRecord
from heartify.party.http_client import get_json, post_json
from heartify.protocol.bundle import ResultBundle

WANTS_PLAN = ("awaiting-plan", "unknown")


class PoolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the lab reads of a pool's work order; a pool may say more."""

    state: str = "unknown"
    step: str = ""
    problem: str = ""


def submit_plan(record: DealRecord, result_key: str) -> None:
    """Hand a deal's plan to its pool; doing it again is harmless.

    Raises:
        ServiceError: the pool can't be reached or refuses.
    """
    body = {"deal": record.deal_id, "plan": record.plan, "result_key": result_key}
    post_json(f"{record.pool_url}/v1/work-orders", body)


def ask_pool(record: DealRecord) -> PoolAnswer:
    """Return what the pool says of a deal; a pool that is away, or talks nonsense, says `unknown` and why."""
    try:
        return msgspec.convert(get_json(f"{record.pool_url}/v1/work-orders/{record.deal_id}"), PoolAnswer)
    except ServiceError as exc:
        return PoolAnswer(problem=exc.message)
    except msgspec.ValidationError:
        return PoolAnswer(problem="the pool's answer is not a work order")


def download_bundle(record: DealRecord) -> ResultBundle:
    """Fetch a deal's result bundle.

    Raises:
        ServiceError: the pool can't be reached, has none, or answers with something else.
    """
    answer = get_json(f"{record.pool_url}/v1/work-orders/{record.deal_id}/bundle")
    try:
        return msgspec.convert(answer, ResultBundle)
    except msgspec.ValidationError as exc:
        raise ServiceError(f"the pool's answer is not a result bundle: {exc}") from exc
