"""The state machine of work orders: persisted, idempotent, and leased to one worker only."""

from __future__ import annotations

import threading

import pytest

from heartify.errors import UsageError
from heartify.pool.work_orders import State, WorkOrders

DEAL = "0x" + "d1" * 32
OTHER = "0x" + "d2" * 32


@pytest.fixture
def queued(orders):
    orders.add(DEAL, 100)
    orders.queue(DEAL, b"plan", b"key")
    return orders


def test_added_deal_awaits_its_plan(orders):
    orders.add(DEAL, 100)

    order = orders.get(DEAL)
    assert (order.state, order.deadline, order.attempts) == (State.AWAITING_PLAN, 100, 0)
    assert (order.plan, order.result_key, order.bundle, order.problem) == (None, None, None, "")


def test_deal_added_again_stays_as_it_is(queued):
    queued.add(DEAL, 999)

    assert (queued.get(DEAL).state, queued.get(DEAL).deadline) == (State.QUEUED, 100)


def test_plan_handed_in_again_changes_nothing(queued):
    queued.queue(DEAL, b"another plan", b"another key")

    assert (queued.get(DEAL).plan, queued.get(DEAL).result_key) == (b"plan", b"key")


@pytest.mark.parametrize("state", [state for state in State if state is not State.AWAITING_PLAN])
def test_plan_is_queued_from_awaiting_plan_only(queued, state):
    queued.move(DEAL, state)

    queued.queue(DEAL, b"another plan", b"another key")

    assert (queued.get(DEAL).state, queued.get(DEAL).plan) == (state, b"plan")


def test_unknown_deal_is_an_error(orders):
    with pytest.raises(UsageError, match="no work order"):
        orders.get(DEAL)


def test_lease_counts_an_attempt_and_can_be_had_once(queued):
    assert queued.lease(DEAL) is True
    assert queued.lease(DEAL) is False

    assert (queued.get(DEAL).state, queued.get(DEAL).attempts) == (State.RUNNING, 1)


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_a_queued_order_can_be_leased(queued, state):
    queued.move(DEAL, state)

    assert queued.lease(DEAL) is False
    assert queued.get(DEAL).attempts == 0


def test_one_of_many_threads_gets_the_lease(queued):
    start, won = threading.Barrier(8), []

    def try_to_lease():
        start.wait(10)
        won.append(queued.lease(DEAL))

    threads = [threading.Thread(target=try_to_lease) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(won) == [False] * 7 + [True]
    assert queued.get(DEAL).attempts == 1


def test_lease_of_another_process_is_seen(queued, tmp_path):
    """Two engines on one file stand for two processes."""
    second = WorkOrders(tmp_path / "pool" / "work-orders.sqlite")

    assert second.lease(DEAL) is True
    assert queued.lease(DEAL) is False


def test_everything_is_there_after_a_restart(queued, tmp_path):
    queued.lease(DEAL)
    queued.move(DEAL, State.SETTLING, problem="grant 1: refused", bundle=b"bundle")

    again = WorkOrders(tmp_path / "pool" / "work-orders.sqlite").get(DEAL)

    assert again == queued.get(DEAL)
    assert (again.state, again.bundle, again.problem) == (State.SETTLING, b"bundle", "grant 1: refused")


def test_interrupted_orders_are_queued_again_and_no_others(orders):
    for number, state in enumerate(State):
        deal = f"0x{number:064x}"
        orders.add(deal, 100)
        orders.move(deal, state)

    orders.requeue_interrupted()

    after = [orders.get(f"0x{number:064x}").state for number in range(len(State))]
    assert after == [State.QUEUED if state is State.RUNNING else state for state in State]


def test_interrupted_order_keeps_its_count_of_attempts(queued):
    queued.lease(DEAL)

    queued.requeue_interrupted()

    assert (queued.get(DEAL).state, queued.get(DEAL).attempts) == (State.QUEUED, 1)


def test_given_back_lease_counts_no_attempt(queued):
    queued.lease(DEAL)

    queued.give_back_lease(DEAL, "the chain is away")

    order = queued.get(DEAL)
    assert (order.state, order.attempts, order.problem) == (State.QUEUED, 0, "the chain is away")


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_only_a_running_order_gives_its_lease_back(queued, state):
    queued.move(DEAL, state)

    queued.give_back_lease(DEAL, "the chain is away")

    assert (queued.get(DEAL).state, queued.get(DEAL).attempts, queued.get(DEAL).problem) == (state, 0, "")


def test_order_whose_plan_came_meanwhile_is_not_given_up(queued):
    queued.give_up_unplanned(DEAL, "the lab never sent the plan")

    assert queued.get(DEAL).state is State.QUEUED


def test_move_keeps_the_bundle_and_replaces_the_problem(queued):
    queued.move(DEAL, State.SETTLING, problem="one", bundle=b"bundle")

    queued.move(DEAL, State.SETTLED)

    order = queued.get(DEAL)
    assert (order.state, order.problem, order.bundle) == (State.SETTLED, "", b"bundle")


def test_step_and_problem_are_cut_to_their_columns(queued):
    queued.note_step(DEAL, "s" * 1000)
    queued.move(DEAL, State.CONCEDED, problem="p" * 1000)

    assert (len(queued.get(DEAL).step), len(queued.get(DEAL).problem)) == (200, 500)


def test_orders_are_found_by_state(queued):
    queued.add(OTHER, 200)

    assert [order.deal_id for order in queued.in_state(State.QUEUED)] == [DEAL]
    assert {order.deal_id for order in queued.in_state(State.QUEUED, State.AWAITING_PLAN)} == {DEAL, OTHER}
    assert len(queued.all()) == 2
