"""The worker: takes queued work orders one at a time, runs them, settles or concedes. It owns no decision about data.

A crash of the enclave is tried once more, with fresh evidence and keys. Whatever can't be settled is conceded, so that
the lab has its money back at once and needn't wait for the deadline.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from heartify.chain.market import MarketClient
from heartify.chain.registry import RegistryClient
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.errors import ChainError, EnclaveError, HeartifyError, IntegrityError, PolicyError, RevertError
from heartify.pool.courier import BROKER_PATIENCE_SECONDS, QuoteCollateral
from heartify.pool.documents import GrantAccess, check_plan_for, locate_grants
from heartify.pool.run import Task, key_receipt_signatures, run_in_enclave
from heartify.pool.work_orders import State, WorkOrder, WorkOrders
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import ResultBundle
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import from_json
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import parse_plan
from heartify.protocol.receipts import Settlement
from heartify.protocol.size_class import size_class
from heartify.tee.launcher import Enclave
from heartify.tee.limits import EnclaveLimits

log = logging.getLogger("heartify.pool")

MAX_ATTEMPTS = 2
_SETTLED_STATES = (DealState.DELIVERED, DealState.WITHHELD, DealState.FAILED)


class Worker:
    """Runs work orders in enclaves that `launch` starts within the limits of the deal's size class.

    `stores` says where addresses of the chain may lead, `collateral` where that of hardware's quotes comes from.
    """

    def __init__(  # noqa: PLR0913 - what a run needs, each by its name
        self,
        orders: WorkOrders,
        market: MarketClient,
        registry: RegistryClient,
        app_release: AppRelease,
        launch: Callable[[EnclaveLimits], Enclave],
        stores: StoreAccess | None = None,
        cache: VerifiedCache | None = None,
        collateral: QuoteCollateral | None = None,
        *,
        broker_patience_seconds: float = BROKER_PATIENCE_SECONDS,
    ) -> None:
        self._orders = orders
        self._market = market
        self._registry = registry
        self._app_release = app_release
        self._launch = launch
        self._stores = stores
        self._cache = cache
        self._collateral = collateral
        self._broker_patience_seconds = broker_patience_seconds

    def work(self) -> int:
        """Run every queued work order, settle or concede what is ready; return how many were touched."""
        touched = 0
        for order in self._orders.in_state(State.QUEUED, State.SETTLING, State.CONCEDING):
            if order.state is State.QUEUED and not self._orders.lease(order.deal_id):
                continue
            touched += 1
            self._advance(order.deal_id)
        return touched

    def _advance(self, deal_id: str) -> None:
        """Take a work order as far as it goes; each step acts on one state, and leaves the next one behind."""
        try:
            deal = self._market.find_deal(deal_id).deal
            for step in (self._run, self._settle, self._concede):
                self._take(step, deal_id, deal)
        except (ChainError, IntegrityError) as exc:
            # The chain is away, or shows a deal that isn't one: keep the work order, and try again at the next round.
            log.warning("deal %s: %s", deal_id, exc.message)
            self._orders.give_back_lease(deal_id, exc.message)

    def _take(self, step: Callable[[WorkOrder, Deal], None], deal_id: str, deal: Deal) -> None:
        order = self._orders.get(deal_id)
        try:
            step(order, deal)
        except ChainError:
            raise
        except Exception as exc:  # noqa: BLE001 - one deal's fault must not stop the pool; it is recorded and conceded
            self._give_up_or_retry(order, exc)

    def _run(self, order: WorkOrder, deal: Deal) -> None:
        if order.state is not State.RUNNING or order.plan is None or order.result_key is None:
            return
        if deal.appRelease != self._app_release.release_id():
            raise PolicyError("the deal is for an app release that this pool does not run")
        grants = self._checked_grants(order.plan, deal)
        limits = EnclaveLimits.for_size_class(deal.sizeClass)
        with self._launch(limits) as enclave:
            bundle, refusals = run_in_enclave(
                enclave,
                Task(self._market.domain, deal, order.plan, order.result_key, self._app_release, grants),
                timeout_seconds=size_class(deal.sizeClass).max_seconds,
                collateral=self._collateral,
                broker_patience_seconds=self._broker_patience_seconds,
                report=lambda step: self._orders.note_step(order.deal_id, step),
            )
        problem = "; ".join(f"grant {index}: {reason}" for index, reason in sorted(refusals.items()))
        self._orders.move(order.deal_id, State.SETTLING, problem=problem, bundle=encode_canonical(bundle))

    def _checked_grants(self, plan: bytes, deal: Deal) -> tuple[GrantAccess, ...]:
        grants = locate_grants(self._registry, deal, self._stores, self._cache)
        check_plan_for(parse_plan(plan), grants)
        return grants

    def _settle(self, order: WorkOrder, deal: Deal) -> None:
        if order.state is not State.SETTLING or order.bundle is None:
            return
        receipt = parse_canonical(order.bundle, ResultBundle).receipt
        signatures = key_receipt_signatures(receipt, len(deal.grants))
        if not any(signature != "0x" for signature in signatures):
            # Without one key receipt the chain can't know the enclave: only giving the deal back is possible.
            problem = order.problem or "no hospital's broker released its keys"
            self._orders.move(order.deal_id, State.CONCEDING, problem=problem)
            return
        try:
            self._market.settle(
                deal,
                from_json(Settlement, receipt.settlement),
                enclave=receipt.enclave,
                key_receipt_signatures=signatures,
                enclave_signature=receipt.enclave_signature,
            )
        except RevertError as exc:
            # Someone else may have settled first: the chain's state decides. What is open still is given back.
            state = self._market.status_of(order.deal_id)
            if state not in _SETTLED_STATES:
                after = State.CONCEDING if state is DealState.OPEN else State.EXPIRED
                self._orders.move(order.deal_id, after, problem=exc.reason)
                return
        self._orders.move(order.deal_id, State.SETTLED, problem=order.problem)

    def _concede(self, order: WorkOrder, deal: Deal) -> None:
        if order.state is not State.CONCEDING:
            return
        try:
            self._market.concede(deal)
        except RevertError as exc:
            # FAILED is also what a concession reads as that the chain took and this pool didn't note.
            state = self._market.status_of(order.deal_id)
            if state is not DealState.FAILED:
                after = State.SETTLED if state in _SETTLED_STATES else State.EXPIRED
                self._orders.move(order.deal_id, after, problem=exc.reason)
                return
        self._orders.move(order.deal_id, State.CONCEDED, problem=order.problem)

    def _give_up_or_retry(self, order: WorkOrder, error: Exception) -> None:
        # Only messages of our own family are known to hold nothing confidential.
        problem = error.message if isinstance(error, HeartifyError) else f"internal error ({type(error).__name__})"
        log.warning("deal %s, attempt %d: %s", order.deal_id, order.attempts, problem)
        again = order.state is State.RUNNING and order.attempts < MAX_ATTEMPTS and isinstance(error, EnclaveError)
        self._orders.move(order.deal_id, State.QUEUED if again else State.CONCEDING, problem=problem)

    def concede_unplanned(self, now: int, margin_seconds: int) -> None:
        """Decide to give back deals whose plan never came, before their deadline would cost the stake."""
        for order in self._orders.in_state(State.AWAITING_PLAN):
            if now + margin_seconds >= order.deadline:
                self._orders.give_up_unplanned(order.deal_id, "the lab never sent the plan")
