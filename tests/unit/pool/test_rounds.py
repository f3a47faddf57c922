"""What a started pool does again and again: follows the chain, and outlives whatever one round throws at it."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest

from heartify.chain.events import MatchedDeal, Place
from heartify.errors import ChainError, PolicyError
from heartify.pool.pool import Rounds
from heartify.pool.work_orders import State
from heartify.protocol.outcomes import DealState

PLACE = Place(7, 0, "0x" + "00" * 32)


class Chain:
    """A node with one block height and the deals matched so far; `fails` are raised one a round."""

    def __init__(self, market, pool):
        self.market, self.pool = market, pool
        self.height = 10
        self.asked = []
        self.fails = []
        market.deals_matched = self.deals_matched

    def head(self, _finality):
        if self.fails:
            raise self.fails.pop(0)
        return self.height

    def deals_matched(self, from_block, *, pool):
        self.asked.append(from_block)
        assert pool == self.pool
        return tuple(MatchedDeal(deal_id, deal, PLACE) for deal_id, deal in self.market.deals.items())


@pytest.fixture
def chain(bench, make):
    return Chain(bench.market, make.pool)


@pytest.fixture
def rounds(bench, chain, make):
    deployment = SimpleNamespace(block=3, finality="latest")
    access = SimpleNamespace(deployment=deployment, connection=chain, market=bench.market)
    return Rounds(access, SimpleNamespace(account=make.pool), bench.orders, bench.worker)


def test_matched_deal_becomes_a_work_order_that_awaits_its_plan(rounds, bench, make):
    rounds.round()

    assert (bench.order.state, bench.order.deadline) == (State.AWAITING_PLAN, make.deadline)


def test_deal_that_is_closed_already_becomes_no_work_order(rounds, bench):
    bench.market.states[bench.deal_id] = DealState.RECLAIMED

    rounds.round()

    assert bench.orders.all() == ()


def test_each_block_is_asked_for_once_and_from_the_deployments_first(rounds, chain):
    rounds.round()
    rounds.round()
    chain.height = 12
    rounds.round()

    assert chain.asked == [3, 11]


def test_block_whose_deals_could_not_be_read_is_asked_for_again(rounds, chain, bench):
    bench.market.away = True
    with pytest.raises(ChainError):
        rounds.round()

    bench.market.away = False
    rounds.round()

    assert chain.asked == [3, 3]
    assert bench.order.state is State.AWAITING_PLAN


def test_followed_deal_is_run_and_settled_once_its_plan_is_there(rounds, bench):
    rounds.round()
    bench.queue()

    assert rounds.round() == 1

    assert bench.order.state is State.SETTLED


@pytest.mark.parametrize("error", [PolicyError("no"), RuntimeError("PATIENT-CANARY-4711")])
def test_loop_outlives_an_error_and_keeps_unknown_texts_out_of_the_log(rounds, chain, bench, caplog, error):
    chain.fails = [error]
    stop = threading.Event()
    thread = threading.Thread(target=rounds.run_until, args=(stop,), kwargs={"poll_seconds": 0.01})

    with caplog.at_level(logging.DEBUG, "heartify"):
        thread.start()
        deadline = threading.Event()
        while not bench.orders.all() and thread.is_alive():
            deadline.wait(0.02)
        stop.set()
        thread.join(30)

    assert bench.order.state is State.AWAITING_PLAN
    assert type(error).__name__ in caplog.text or "no" in caplog.text
    assert "CANARY" not in caplog.text
