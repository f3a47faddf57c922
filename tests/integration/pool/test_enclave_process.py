"""A worker with real enclave processes: delivered; killed half-way, tried again, given back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from heartify.pool.work_orders import State
from heartify.protocol.bundle import ResultBundle
from heartify.protocol.canonical import parse_canonical, to_bytes
from heartify.protocol.outcomes import Outcome
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.result import parse_result, result_info
from heartify.protocol.signing import recover_address


def children_of(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def innermost(pid):
    """The enclave's own process: under a sandbox it is the last of a chain of children."""
    while children := children_of(pid):
        pid = children[-1]
    return pid


def is_gone(pid):
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) == "Z"
    except OSError:
        return True


def kill_at(bench, step, *, times):
    """Kill -9 the newest enclave's process when the pool hears of a step; return the killed processes."""
    killed = []

    def see(name):
        if name == step and len(killed) < times:
            killed.append(innermost(bench.enclaves[-1]._process.pid))
            os.kill(killed[-1], signal.SIGKILL)

    bench.orders.on_step.append(see)
    return killed


def test_real_enclave_delivers_and_every_hospital_is_paid_by_its_receipt(bench):
    bench.queue()

    bench.worker.work()

    assert (bench.order.state, bench.order.problem) == (State.SETTLED, "")
    ((call, settlement, signatures),) = bench.market.calls
    assert (call, settlement.kind, settlement.leftOut) == ("settle", Outcome.DELIVERED, 0)
    domain = bench.market.domain
    assert recover_address(settlement.digest(domain), signatures["enclave_signature"]) == signatures["enclave"]
    for hospital, signature in zip(bench.hospitals, signatures["key_receipt_signatures"], strict=True):
        receipt = KeyReceipt(deal=bench.deal_id, datasetVersion=hospital.version, enclave=signatures["enclave"])
        assert recover_address(receipt.digest(domain), signature) == hospital.broker
    bundle = parse_canonical(bench.order.bundle, ResultBundle)
    result = parse_result(bench.lab_key.open(to_bytes(bundle.sealed_result), result_info(bench.deal_id)))
    assert [row.status for row in result.hospitals] == ["contributed", "contributed"]
    assert [weight.factor for weight in result.weights] == [factor.name for factor in bench.plan.factors]


@pytest.mark.parametrize("step", ["checking the documents", "reading and decrypting the columns"])
def test_enclave_killed_half_way_is_tried_again_with_fresh_keys_and_delivers(bench, step):
    killed = kill_at(bench, step, times=1)
    bench.queue()

    bench.worker.work()
    assert (bench.order.state, bench.order.attempts) == (State.QUEUED, 1)
    assert "the enclave ended" in bench.order.problem
    bench.worker.work()

    assert len(killed) == 1
    assert len(bench.enclaves) == 2
    assert bench.order.state is State.SETTLED
    assert [call for call, *_ in bench.market.calls] == ["settle"]
    for hospital in bench.hospitals:
        enclaves = [entry.enclave for entry in hospital.broker_store.uses.all() if entry.deal == bench.deal_id]
        assert len(set(enclaves)) == len(enclaves) == (2 if step.startswith("reading") else 1)


def test_enclave_killed_twice_is_conceded_and_leaves_no_process(bench):
    killed = kill_at(bench, "asking the hospitals' brokers for keys", times=2)
    bench.queue()

    for _ in range(3):
        bench.worker.work()

    assert [call for call, *_ in bench.market.calls] == ["concede"]
    assert (bench.order.state, bench.order.attempts, bench.order.bundle) == (State.CONCEDED, 2, None)
    assert len(killed) == 2
    deadline = time.monotonic() + 10
    while not all(map(is_gone, killed)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(map(is_gone, killed))


def test_broker_that_is_down_is_left_out_and_the_other_hospital_is_settled(bench):
    bench.registry.broker_urls[0] = "http://127.0.0.1:9"
    bench.queue()

    bench.worker.work()

    ((call, settlement, signatures),) = bench.market.calls
    assert (call, settlement.leftOut, signatures["key_receipt_signatures"][0]) == ("settle", 0b01, "0x")
    assert "grant 0" in bench.order.problem
    assert "can't be reached" in bench.order.problem
