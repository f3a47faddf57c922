"""The state table of docs/reference/contracts.md, against what the contract allows in every state."""

from __future__ import annotations

import itertools
from pathlib import Path

import boa

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "contracts.md"
STATES = ["none", "open", "delivered", "withheld", "failed", "reclaimed"]
CALLS = ["settle, outcome 2", "settle, outcome 3", "settle, outcome 4", "concede", "reclaim"]
CALLERS = ["the pool", "somebody else"]
TIMES = ["until the deadline", "after the deadline"]


def _documented() -> set[tuple[str, str, str, str, str]]:
    """Return (from, call, caller, time, to) for each row, with "anyone" and "any time" written out."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = lines.index("| from | call | who | when | to |") + 2
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    found = set()
    for row in rows:
        source, call, who, when, target = [cell.strip() for cell in row.strip("|").split("|")]
        callers = CALLERS if who == "anyone" else [who]
        times = TIMES if when == "any time" else [when]
        found |= {(source, call, caller, time, target) for caller in callers for time in times}
    return found


def _bring_to(world, state: str) -> dict:
    deal = world.match(world.orders(2))
    if state == "none":
        deal["minGrants"] = 2
    elif state == "reclaimed":
        before_deadline = world.now
        world.travel_to(deal["deadline"] + 1)
        world.market.reclaim(world.deal_abi(deal), sender=world.lab.address)
        world.travel_to(before_deadline)
    elif state != "open":
        world.settle(deal, STATES.index(state), 0 if state == "delivered" else 1)
    assert STATES[world.status(deal)] == state
    return deal


def _call(world, deal: dict, call: str, caller: str) -> None:
    sender = world.pool if caller == "the pool" else world.stranger
    if call.startswith("settle"):
        outcome = int(call[-1])
        arguments = world.settlement(deal, outcome, 0 if outcome == 2 else 1)
        world.market.settle(*arguments, sender=sender.address)
    else:
        getattr(world.market, call)(world.deal_abi(deal), sender=sender.address)


def _allowed(world) -> set[tuple[str, str, str, str, str]]:
    found = set()
    for state, call, caller, time in itertools.product(STATES, CALLS, CALLERS, TIMES):
        with boa.env.anchor():
            world.travel_to(world.start_utc)
            deal = _bring_to(world, state)
            world.travel_to(deal["deadline"] + (time == "after the deadline"))
            try:
                _call(world, deal, call, caller)
            except boa.BoaError:
                assert STATES[world.status(deal)] == state
            else:
                found.add((state, call, caller, time, STATES[world.status(deal)]))
    return found


def test_the_documented_state_table_is_what_the_contract_allows(world):
    documented = _documented()
    matches = {row for row in documented if row[1] == "matchOrders"}

    allowed = _allowed(world)

    assert allowed == documented - matches
    assert matches == {("none", "matchOrders", caller, time, "open") for caller in CALLERS for time in TIMES}


def test_a_match_opens_a_deal_once(world):
    orders = world.orders(2, uses=9)

    deal = world.match(orders, sender=world.pool)

    assert world.status(deal) == STATES.index("open")
    with world.refused("market: request used up"):
        world.match(orders)
