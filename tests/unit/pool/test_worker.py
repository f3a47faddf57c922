"""The worker: settles what can be settled, concedes the rest, and loses nothing when the chain is away."""

from __future__ import annotations

import logging

import pytest

from heartify.errors import AttestationError, ChainError, EnclaveError, IntegrityError, RevertError, ServiceError
from heartify.pool.work_orders import State
from heartify.protocol.bundle import ResultBundle
from heartify.protocol.canonical import parse_canonical
from heartify.protocol.eip712 import bytes32
from heartify.protocol.outcomes import DealState, Outcome
from heartify.protocol.plan import FactorSpec
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.signing import recover_address


def test_delivered_run_is_settled_with_one_key_receipt_a_hospital(bench, make, brokers):
    bench.queue()

    assert bench.worker.work() == 1

    (call, settlement, signatures), *rest = bench.market.calls
    assert (call, rest, settlement.kind) == ("settle", [], Outcome.DELIVERED)
    for index, (hospital, signature) in enumerate(
        zip(bench.deal.grants, signatures["key_receipt_signatures"], strict=True)
    ):
        receipt = KeyReceipt(deal=bench.deal_id, datasetVersion=hospital.datasetVersion, enclave=signatures["enclave"])
        assert recover_address(receipt.digest(make.domain), signature) == bench.deal.grants[index].broker
    assert (bench.order.state, bench.order.step, bench.order.problem) == (State.SETTLED, "asking for keys", "")


def test_bundle_of_a_settled_order_holds_the_public_receipt_and_the_sealed_result(bench, make):
    bench.queue()

    bench.worker.work()

    bundle = parse_canonical(bench.order.bundle, ResultBundle)
    assert bundle.sealed_result == "0x" + b"sealed result".hex()
    receipt = bundle.receipt
    assert (receipt.deal_id, receipt.plan, receipt.simulated) == (bench.deal_id, make.plan, True)
    assert receipt.app_release == make.release
    assert [(record.grant, record.nonce, record.quote) for record in receipt.releases] == [
        (0, "0x" + "cd" * 32, "0x" + "ab" * 64),
        (1, "0x" + "cd" * 32, "0x" + "ab" * 64),
    ]


@pytest.mark.parametrize("outcome", [Outcome.WITHHELD, Outcome.FAILED])
def test_withheld_and_failed_runs_are_settled_without_a_result(bench, outcome):
    def script(job):
        yield from bench.scripts.fetch_keys(job)
        yield bench.scripts.done(job, outcome=outcome)

    bench.parts[:] = [script]
    bench.queue()

    bench.worker.work()

    assert bench.order.state is State.SETTLED
    assert bench.market.states[bench.deal_id] == int(outcome)
    assert parse_canonical(bench.order.bundle, ResultBundle).sealed_result is None


def test_broker_that_refuses_is_left_out_with_its_reason(bench, brokers):
    brokers[1][0].refusing = True
    bench.queue()

    bench.worker.work()

    (_, settlement, signatures), *_ = bench.market.calls
    assert settlement.leftOut == 0b10
    assert signatures["key_receipt_signatures"][1] == "0x"
    assert bench.order.state is State.SETTLED
    assert "grant 1" in bench.order.problem
    assert "the grant of this deal is revoked" in bench.order.problem


def test_run_without_any_key_receipt_is_conceded(bench, brokers):
    for broker, _ in brokers:
        broker.refusing = True
    bench.queue()

    bench.worker.work()

    assert [call[0] for call in bench.market.calls] == ["concede"]
    assert bench.order.state is State.CONCEDED
    assert "revoked" in bench.order.problem


def test_crash_of_the_enclave_is_tried_once_more(bench):
    bench.parts[:] = [bench.scripts.crash, bench.scripts.deliver]
    bench.queue()

    bench.worker.work()
    assert (bench.order.state, bench.order.attempts) == (State.QUEUED, 1)
    assert "exit status" in bench.order.problem
    bench.worker.work()

    assert (bench.order.state, bench.order.attempts) == (State.SETTLED, 2)
    assert len(bench.enclaves) == 2


def test_second_crash_is_conceded(bench):
    bench.parts[:] = [bench.scripts.crash]
    bench.queue()

    for _ in range(4):
        bench.worker.work()

    assert len(bench.enclaves) == 2
    assert bench.order.state is State.CONCEDED
    assert bench.market.calls == [("concede", bench.deal_id)]


def test_enclave_that_can_not_be_started_is_tried_once_more_and_conceded(bench, make):
    tries = []

    def launch(_limits):
        tries.append(1)
        raise EnclaveError("the enclave process can't be started: OSError")

    bench.worker._launch = launch
    bench.queue()

    for _ in range(3):
        bench.worker.work()

    assert (len(tries), bench.order.state) == (2, State.CONCEDED)


ENDINGS = {
    "no settlement": lambda header: header.pop("settlement"),
    "no key": lambda header: header.pop("encryption_public_key"),
    "no enclave": lambda header: header.pop("enclave"),
    "another enclave": lambda header: header.update(enclave="0x" + "ee" * 20),
    "an enclave that is no address": lambda header: header.update(enclave=7),
    "a key that is no hex": lambda header: header.update(encryption_public_key="key"),
    "no signature": lambda header: header.update(signature="0x"),
    "a field more": lambda header: header.update(result="plain"),
    "a bit beyond the grants": lambda header: header["settlement"].update(leftOut="4"),
    "another code": lambda header: header["settlement"].update(code="1"),
    "another digest": lambda header: header["settlement"].update(resultDigest="0x" + "11" * 32),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_ending_that_the_chain_would_refuse_is_never_sent(bench, ending):
    def script(job):
        yield from bench.scripts.fetch_keys(job)
        header, body = bench.scripts.done(job)
        ENDINGS[ending](header)
        yield header, body

    bench.parts[:] = [script]
    bench.queue()

    bench.worker.work()
    assert "not a valid signed settlement" in bench.order.problem
    bench.worker.work()

    assert bench.market.calls == [("concede", bench.deal_id)]
    assert bench.order.bundle is None


@pytest.mark.parametrize("changes", [{"deal": "0x" + "aa" * 32}, {"leftOut": 4}, {"code": 1}, {"outcome": 9}], ids=str)
def test_well_signed_settlement_that_is_wrong_is_never_sent(bench, changes):
    def script(job):
        yield from bench.scripts.fetch_keys(job)
        yield bench.scripts.done(job, **changes)

    bench.parts[:] = [script]
    bench.queue()

    bench.worker.work()

    assert (bench.market.calls, bench.order.state) == ([], State.QUEUED)


def test_sealed_result_that_is_not_the_signed_one_is_never_sent(bench):
    def script(job):
        yield from bench.scripts.fetch_keys(job)
        header, _ = bench.scripts.done(job)
        yield header, b"another result"

    bench.parts[:] = [script]
    bench.queue()

    bench.worker.work()

    assert (bench.market.calls, bench.order.bundle) == ([], None)


def test_deal_for_another_app_release_is_conceded_without_an_enclave(bench, make):
    deal = make.deal(appRelease=bytes32("0x" + "77" * 32))
    bench.deal = deal
    bench.market.deals[bench.deal_id] = deal
    bench.market.states[bench.deal_id] = DealState.OPEN
    bench.queue()

    bench.worker.work()

    assert (bench.order.state, bench.enclaves) == (State.CONCEDED, [])
    assert "app release" in bench.order.problem


def test_plan_that_the_grant_does_not_permit_is_conceded_without_an_enclave(bench, make):
    plan = type(make.plan)(
        title="No", purpose=make.plan.purpose, outcome=make.plan.outcome, factors=(FactorSpec(name="a", column="age"),)
    )
    bench.queue(plan=plan)

    bench.worker.work()

    assert (bench.order.state, bench.enclaves) == (State.CONCEDED, [])
    assert "does not cover" in bench.order.problem


@pytest.mark.parametrize("error", [ServiceError("the store is gone"), AttestationError("refused")])
def test_other_errors_are_conceded_at_once(bench, error):
    def script(_job):
        raise error
        yield

    bench.parts[:] = [script]
    bench.queue()

    bench.worker.work()

    assert (bench.order.state, bench.order.attempts, bench.order.problem) == (State.CONCEDED, 1, error.message)


def test_error_that_nobody_thought_of_is_conceded_and_its_text_kept_out(bench, caplog):
    def script(_job):
        raise KeyError("PATIENT-CANARY-4711")
        yield

    bench.parts[:] = [script]
    bench.queue()

    with caplog.at_level(logging.DEBUG, "heartify"):
        bench.worker.work()

    assert (bench.order.state, bench.order.problem) == (State.CONCEDED, "internal error (KeyError)")
    assert "CANARY" not in caplog.text


def test_one_deals_fault_does_not_keep_the_next_one_waiting(bench, make):
    second = make.deal()
    second_id = second.deal_id(make.domain)
    bench.market.deals[second_id] = second
    bench.market.states[second_id] = DealState.OPEN
    bench.queue()
    bench.orders.add(second_id, make.deadline)
    bench.orders.queue(second_id, make.plan_bytes, make.result_key)
    bench.parts[:] = [bench.scripts.say(({"op": "done"}, b"")), bench.scripts.deliver]

    assert bench.worker.work() == 2

    assert bench.order.state is State.QUEUED
    assert bench.orders.get(second_id).state is State.SETTLED


# ---- the chain decides, and may be away


@pytest.mark.parametrize("state", [DealState.DELIVERED, DealState.WITHHELD, DealState.FAILED])
def test_settlement_that_somebody_sent_before_is_settled(bench, state):
    bench.queue()
    bench.market.states[bench.deal_id] = state

    bench.worker.work()

    assert bench.order.state is State.SETTLED
    assert bench.market.calls == []


def test_settlement_after_reclaim_is_expired(bench):
    bench.queue()
    bench.market.states[bench.deal_id] = DealState.RECLAIMED

    bench.worker.work()

    assert (bench.order.state, bench.order.problem) == (State.EXPIRED, "market: deal not open")


def test_settlement_past_the_deadline_is_expired(bench):
    bench.queue()
    bench.market.reverts = {call: RevertError("market: past the deadline") for call in ("settle", "concede")}

    bench.worker.work()

    assert (bench.order.state, bench.order.problem) == (State.EXPIRED, "market: past the deadline")


def test_settlement_that_the_contract_refuses_before_the_deadline_is_conceded(bench):
    """An open deal that can't be settled must be given back, or its stake is lost."""
    bench.queue()
    bench.market.reverts = {"settle": RevertError("market: bad key receipt")}

    bench.worker.work()

    assert bench.market.calls == [("concede", bench.deal_id)]
    assert (bench.order.state, bench.order.problem) == (State.CONCEDED, "market: bad key receipt")


def test_chain_that_is_away_before_the_run_costs_neither_the_order_nor_an_attempt(bench):
    bench.queue()
    bench.market.away = True

    for _ in range(5):
        bench.worker.work()

    assert (bench.order.state, bench.order.attempts, bench.enclaves) == (State.QUEUED, 0, [])
    bench.market.away = False
    bench.parts[:] = [bench.scripts.crash, bench.scripts.deliver]
    bench.worker.work()
    bench.worker.work()
    assert bench.order.state is State.SETTLED


def test_registry_that_is_away_costs_neither_the_order_nor_an_attempt(bench):
    bench.queue()
    bench.registry.away = True

    bench.worker.work()

    assert (bench.order.state, bench.order.attempts, bench.enclaves) == (State.QUEUED, 0, [])


def test_node_that_shows_another_deal_costs_neither_the_order_nor_an_attempt(bench):
    bench.queue()
    bench.market.reverts = {"find_deal": IntegrityError("the deal's content does not match its id")}

    bench.worker.work()

    assert (bench.order.state, bench.order.attempts, bench.enclaves) == (State.QUEUED, 0, [])


def test_chain_that_goes_away_before_settling_keeps_the_bundle_and_runs_nothing_again(bench):
    bench.queue()
    bench.market.reverts = {"settle": ChainError("the chain cannot be reached")}

    bench.worker.work()
    assert bench.order.state is State.SETTLING
    bundle = bench.order.bundle
    bench.market.reverts = {}
    bench.worker.work()

    assert (bench.order.state, bench.order.bundle, len(bench.enclaves)) == (State.SETTLED, bundle, 1)


@pytest.mark.parametrize("call", ["concede", "find_deal"])
def test_chain_that_goes_away_before_conceding_does_not_lose_the_concession(bench, call):
    def go_away_and_crash(job):
        bench.market.reverts = {call: ChainError("the chain cannot be reached")}
        yield from bench.scripts.crash(job)

    bench.parts[:] = [bench.scripts.crash, go_away_and_crash]
    bench.queue()
    bench.worker.work()

    bench.worker.work()
    bench.worker.work()
    bench.market.reverts = {}
    bench.worker.work()

    assert bench.market.calls == [("concede", bench.deal_id)]
    assert (bench.order.state, len(bench.enclaves)) == (State.CONCEDED, 2)


def test_concession_that_the_chain_took_and_the_pool_did_not_note_is_conceded(bench):
    bench.queue()
    bench.orders.move(bench.deal_id, State.CONCEDING, problem="why")
    bench.market.states[bench.deal_id] = DealState.FAILED

    bench.worker.work()

    assert (bench.order.state, bench.order.problem) == (State.CONCEDED, "why")


def test_stored_bundle_that_is_damaged_is_conceded(bench):
    bench.queue()
    bench.orders.move(bench.deal_id, State.SETTLING, bundle=b"{}")

    bench.worker.work()

    assert bench.order.state is State.CONCEDED


# ---- plans that never come


def test_deal_whose_plan_never_came_is_conceded_before_its_deadline(bench, make):
    bench.orders.add(bench.deal_id, make.deadline)

    bench.worker.concede_unplanned(make.deadline - 300, 300)
    bench.worker.work()

    assert bench.market.calls == [("concede", bench.deal_id)]
    assert (bench.order.state, bench.order.problem) == (State.CONCEDED, "the lab never sent the plan")


def test_deal_with_time_left_waits_for_its_plan(bench, make):
    bench.orders.add(bench.deal_id, make.deadline)

    bench.worker.concede_unplanned(make.deadline - 301, 300)
    bench.worker.work()

    assert (bench.market.calls, bench.order.state) == ([], State.AWAITING_PLAN)


def test_planned_deal_is_never_conceded_for_want_of_a_plan(bench, make):
    bench.queue()

    bench.worker.concede_unplanned(make.deadline, 300)

    assert bench.order.state is State.QUEUED


def test_unplanned_deal_is_conceded_once_the_chain_is_back(bench, make):
    bench.orders.add(bench.deal_id, make.deadline)
    bench.market.away = True

    bench.worker.concede_unplanned(make.deadline - 300, 300)
    bench.worker.work()
    bench.market.away = False
    bench.worker.work()

    assert bench.order.state is State.CONCEDED
