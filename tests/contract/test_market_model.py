"""The market against a Python model of it: random lives of many deals, with the same accounts in several roles.

The model is written from the specification. It says for every call whether it is refused, and why, and what everybody's
balance is afterwards. Money is never made or lost, and no deal is paid twice.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import boa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

OPEN, DELIVERED, WITHHELD, FAILED, RECLAIMED = 1, 2, 3, 4, 5
BPS = 10_000


@dataclasses.dataclass
class ModelDeal:
    deal: dict[str, Any]
    requester: str
    pool: str
    prices: list[tuple[str, int, int]]  # owner, price, withheld share
    app: tuple[int, int]
    pool_price: int
    stake: int
    min_grants: int
    deadline: int
    status: int = OPEN

    def total(self) -> int:
        return sum(price for _, price, _ in self.prices) + self.app[0] + self.pool_price


class Model:
    """Balances, uses and deals as they should be."""

    def __init__(self, names: list[str], author: str, stake_bps: int) -> None:
        self.outside = dict.fromkeys(names, 0)
        self.free = dict.fromkeys(names, 0)
        self.locked = dict.fromkeys(names, 0)
        self.author = author
        self.stake_bps = stake_bps
        self.times_used: Counter[tuple[str, int]] = Counter()
        self.cancelled: set[tuple[str, int]] = set()

    def can_use(self, maker: str, order: dict[str, Any]) -> bool:
        key = (maker, order["nonce"])
        return key not in self.cancelled and self.times_used[key] < order["uses"]

    def why_no_match(self, made: Made, requester: str, now: int) -> str | None:
        # In the contract's order, since the first broken condition names the refusal.
        if not self.can_use(self.author, made.app):
            return "market: app offer used up"
        if now > made.pool["expiry"]:
            return "market: pool offer expired"
        if not self.can_use(made.pool_name, made.pool):
            return "market: pool offer used up"
        for owner, grant in made.grants:
            if now > grant["expiry"]:
                return "market: grant expired"
            if not self.can_use(owner, grant):
                return "market: grant used up"
        total = sum(grant["price"] for _, grant in made.grants) + made.app["price"] + made.pool["price"]
        if self.free[requester] < total:
            return "market: insufficient escrow of the requester"
        left = self.free[made.pool_name] - (total if made.pool_name == requester else 0)
        if left < made.pool["price"] * self.stake_bps // BPS:
            return "market: insufficient escrow of the pool"
        return None

    def match(self, made: Made, requester: str, deal: dict[str, Any], min_grants: int, deadline: int) -> ModelDeal:
        self.times_used[(self.author, made.app["nonce"])] += 1
        self.times_used[(made.pool_name, made.pool["nonce"])] += 1
        for owner, grant in made.grants:
            self.times_used[(owner, grant["nonce"])] += 1
        matched = ModelDeal(
            deal,
            requester,
            made.pool_name,
            [(owner, grant["price"], grant["withheldBps"]) for owner, grant in made.grants],
            (made.app["price"], made.app["withheldBps"]),
            made.pool["price"],
            made.pool["price"] * self.stake_bps // BPS,
            min_grants,
            deadline,
        )
        self._lock(requester, matched.total())
        self._lock(made.pool_name, matched.stake)
        return matched

    def why_no_settlement(self, deal: ModelDeal, outcome: int, code: int, left_out: int, now: int) -> str | None:
        contributing = len(deal.prices) - left_out.bit_count()
        if deal.status != OPEN:
            return "market: deal not open"
        if now > deal.deadline:
            return "market: past the deadline"
        if (outcome == DELIVERED) != (code == 0):
            return "market: code out of range"
        if contributing < (1 if outcome == FAILED else deal.min_grants):
            return "market: not enough grants"
        return None

    def settle(self, deal: ModelDeal, outcome: int, code: int, left_out: int) -> None:
        deal.status = outcome
        share = {DELIVERED: lambda _: BPS, WITHHELD: lambda bps: bps, FAILED: lambda _: 0}[outcome]
        part = [grant for index, grant in enumerate(deal.prices) if not left_out >> index & 1]
        payments = [(owner, price * share(bps) // BPS) for owner, price, bps in part]
        payments.append((self.author, deal.app[0] * share(deal.app[1]) // BPS))
        earned = outcome != FAILED or (code < 64 and len(part) >= deal.min_grants)
        payments.append((deal.pool, deal.pool_price if earned else 0))
        self.locked[deal.requester] -= deal.total()
        self.free[deal.requester] += deal.total() - sum(amount for _, amount in payments)
        for name, amount in payments:
            self.free[name] += amount
        self._return_stake(deal, deal.pool)

    def concede(self, deal: ModelDeal) -> None:
        deal.status = FAILED
        self._refund(deal)
        self._return_stake(deal, deal.pool)

    def reclaim(self, deal: ModelDeal) -> None:
        deal.status = RECLAIMED
        self._refund(deal)
        self._return_stake(deal, deal.requester)

    def _lock(self, name: str, amount: int) -> None:
        self.free[name] -= amount
        self.locked[name] += amount

    def _refund(self, deal: ModelDeal) -> None:
        self.locked[deal.requester] -= deal.total()
        self.free[deal.requester] += deal.total()

    def _return_stake(self, deal: ModelDeal, receiver: str) -> None:
        self.locked[deal.pool] -= deal.stake
        self.free[receiver] += deal.stake


@dataclasses.dataclass
class Made:
    """Orders chosen for one match."""

    grants: list[tuple[str, dict[str, Any]]]
    app: dict[str, Any]
    pool: dict[str, Any]
    pool_name: str


AMOUNTS = st.integers(0, 4_000)
SHARES = st.sampled_from([0, 1, 3_333, BPS])
REQUESTERS = st.sampled_from(["lab", "lab", "pool", "hospital 0"])
# outcome and code; the last two no rule allows
ENDINGS = st.sampled_from([(2, 0), (2, 0), (3, 1), (3, 255), (4, 1), (4, 63), (4, 64), (4, 255), (2, 1), (4, 0)])


class MarketMachine(RuleBasedStateMachine):
    """Rules over a fresh market; the fixture's world gives the contracts and the keys."""

    world: Any
    seen: Counter[tuple[str, str | None]]

    @initialize()
    def build(self) -> None:
        self.anchor = boa.env.anchor()
        self.anchor.__enter__()
        world = self.world
        world.travel_to(world.start_utc)
        self.accounts = {"lab": world.lab, "pool": world.pool, "author": world.author}
        self.accounts |= {f"hospital {i}": hospital.owner for i, hospital in enumerate(world.hospitals)}
        self.model = Model(list(self.accounts), "author", world.stake_bps)
        for name, account in self.accounts.items():
            world.token.approve(world.market.address, 2**256 - 1, sender=account.address)
            self.model.free[name] = world.free(account)
            self.model.outside[name] = world.token.balanceOf(account.address)
        self.deals: list[ModelDeal] = []
        self.made: list[Made] = []
        self.nonce = 0
        self.deposit("hospital 0", 9_000)

    def teardown(self) -> None:
        if hasattr(self, "anchor"):
            self.anchor.__exit__(None, None, None)

    def _expect(self, name: str, reason: str | None, call: Any) -> Any:
        self.seen[(name, reason)] += 1
        if reason is None:
            return call()
        with self.world.refused(reason):
            call()
        return None

    def _fresh_nonce(self) -> int:
        self.nonce += 1
        return self.nonce

    # money

    @rule(name=st.sampled_from(["lab", "pool", "hospital 0"]), amount=AMOUNTS)
    def deposit(self, name: str, amount: int) -> None:
        account = self.accounts[name]
        self.world.token.mint(account.address, amount)
        self.world.market.deposit(amount, sender=account.address)
        self.model.free[name] += amount

    @rule(name=st.sampled_from(["lab", "pool", "author", "hospital 0", "hospital 1"]), amount=AMOUNTS)
    def withdraw(self, name: str, amount: int) -> None:
        reason = None if self.model.free[name] >= amount else "market: insufficient escrow"
        account = self.accounts[name]

        self._expect("withdraw", reason, lambda: self.world.market.withdraw(amount, sender=account.address))

        if reason is None:
            self.model.free[name] -= amount
            self.model.outside[name] += amount

    # orders and deals

    @rule(data=st.data(), name=REQUESTERS, uses=st.sampled_from([1, 1, 2, 0]), lifetime=st.sampled_from([100, 50_000]))
    def match_new_orders(self, data: Any, name: str, uses: int, lifetime: int) -> None:
        indices = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
        pool_name = data.draw(st.sampled_from(["pool", "pool", "lab", "hospital 1"]))
        orders = self.world.orders(4)
        for order in (*orders.grants, orders.app, orders.pool):
            order.update(price=data.draw(AMOUNTS), nonce=self._fresh_nonce(), expiry=self.world.now + lifetime)
            order["uses"] = max(uses, 1)
        for order in (*orders.grants, orders.app):
            order["withheldBps"] = data.draw(SHARES)
        orders.app["expiry"] = 2**40
        data.draw(st.sampled_from([orders.app, orders.pool, orders.grants[indices[0]]]))["uses"] = uses
        orders.pool["pool"] = self.accounts[pool_name].address
        grants = [(f"hospital {i}", orders.grants[i]) for i in indices]
        self.made.append(Made(grants, orders.app, orders.pool, pool_name))
        self._match(data, self.made[-1], name)

    @precondition(lambda self: self.made)
    @rule(data=st.data(), name=REQUESTERS, cancel=st.sampled_from([None, None, "author", "pool", "hospital 0"]))
    def match_old_orders(self, data: Any, name: str, cancel: str | None) -> None:
        made = data.draw(st.sampled_from(self.made[-3:]))
        nonce = {"author": made.app, "pool": made.pool, "hospital 0": made.grants[0][1], None: made.app}[cancel][
            "nonce"
        ]
        if cancel is not None:
            self.world.market.cancelNonces(0, 1 << nonce, sender=self.accounts[cancel].address)
            self.model.cancelled.add((cancel, nonce))
        self._match(data, made, name)

    def _match(self, data: Any, made: Made, requester: str) -> None:
        world, now = self.world, self.world.now
        min_grants = data.draw(st.integers(1, len(made.grants)))
        deadline_seconds = data.draw(st.sampled_from([60, 3_600]))
        orders = world.orders(1)
        orders.grants, orders.app, orders.pool = [grant for _, grant in made.grants], made.app, made.pool
        wanted = [{"datasetVersion": grant["datasetVersion"], "maxPrice": 4_000} for grant in orders.grants]
        orders.request.update(requester=self.accounts[requester].address, grants=wanted, maxAppPrice=4_000)
        orders.request.update(minGrants=min_grants, deadlineSeconds=deadline_seconds, expiry=2**40)
        orders.request["nonce"] = 1_000 + self._fresh_nonce()
        signatures = {
            "pool": world.typed.sign("PoolOffer", made.pool, self.accounts[made.pool_name]),
            "request": world.typed.sign("Request", orders.request, self.accounts[requester]),
        }
        reason = self.model.why_no_match(made, requester, now)

        deal = self._expect("match", reason, lambda: world.match(orders, **signatures))

        if reason is None:
            self.deals.append(self.model.match(made, requester, deal, min_grants, now + deadline_seconds))

    def _draw_deal(self, data: Any) -> ModelDeal:
        """Return an open deal if there is one, and sometimes one that has ended."""
        open_deals = [deal for deal in self.deals if deal.status == OPEN]
        any_deal = data.draw(st.sampled_from([False, False, False, True]))
        return data.draw(st.sampled_from(self.deals if any_deal or not open_deals else open_deals))

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), ending=ENDINGS, left_out=st.sampled_from([0, 0, 0, 1, 2, 3, 5]))
    def settle(self, data: Any, ending: tuple[int, int], left_out: int) -> None:
        deal = self._draw_deal(data)
        left_out &= (1 << len(deal.prices)) - 1
        reason = self.model.why_no_settlement(deal, *ending, left_out, self.world.now)

        self._expect(f"settle {ending[0]}", reason, lambda: self.world.settle(deal.deal, *ending, left_out))

        if reason is None:
            self.model.settle(deal, *ending, left_out)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), by_pool=st.sampled_from([True, True, False]))
    def concede(self, data: Any, by_pool: bool) -> None:
        deal = self._draw_deal(data)
        sender = self.accounts[deal.pool] if by_pool else self.world.stranger
        reason = None
        if deal.status != OPEN:
            reason = "market: deal not open"
        elif not by_pool:
            reason = "market: not the pool"
        elif self.world.now > deal.deadline:
            reason = "market: past the deadline"
        arguments = (self.world.deal_abi(deal.deal),)

        self._expect("concede", reason, lambda: self.world.market.concede(*arguments, sender=sender.address))

        if reason is None:
            self.model.concede(deal)

    @precondition(lambda self: self.deals)
    @rule(data=st.data(), wait_seconds=st.sampled_from([0, 61, 3_601, 3_601]))
    def reclaim(self, data: Any, wait_seconds: int) -> None:
        deal = self._draw_deal(data)
        self.world.travel_to(self.world.now + wait_seconds)
        reason = None
        if deal.status != OPEN:
            reason = "market: deal not open"
        elif self.world.now <= deal.deadline:
            reason = "market: before the deadline"
        arguments = (self.world.deal_abi(deal.deal),)

        self._expect(
            "reclaim", reason, lambda: self.world.market.reclaim(*arguments, sender=self.world.stranger.address)
        )

        if reason is None:
            self.model.reclaim(deal)

    # what always holds

    @invariant()
    def everybody_has_what_the_model_says(self) -> None:
        for name, account in self.accounts.items():
            assert self.world.free(account) == self.model.free[name], name
            assert self.world.locked(account) == self.model.locked[name], name
            assert self.world.token.balanceOf(account.address) == self.model.outside[name], name

    @invariant()
    def balances_add_up_to_the_tokens_held(self) -> None:
        total = sum(self.model.free.values()) + sum(self.model.locked.values())
        assert self.world.token.balanceOf(self.world.market.address) == total
        assert all(amount >= 0 for amount in (*self.model.free.values(), *self.model.locked.values()))

    @invariant()
    def deals_are_where_the_model_says(self) -> None:
        assert [self.world.status(deal.deal) for deal in self.deals[-4:]] == [d.status for d in self.deals[-4:]]

    @invariant()
    def locked_money_is_that_of_open_deals(self) -> None:
        open_deals = [deal for deal in self.deals if deal.status == OPEN]
        assert sum(self.model.locked.values()) == sum(deal.total() + deal.stake for deal in open_deals)


def test_the_market_does_what_the_model_says(world):
    seen: Counter[tuple[str, str | None]] = Counter()
    machine = type("SeededMarketMachine", (MarketMachine,), {"world": world, "seen": seen})
    bounded = settings(
        max_examples=18,
        stateful_step_count=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    # A model that was never tried would agree as well: go on with the next seed until each kind has succeeded once.
    # Which seed does depends on the state that earlier tests left in the simulated chain.
    tried = {"match", "withdraw", "settle 2", "settle 3", "settle 4", "concede", "reclaim"}
    for attempt in range(6):
        run_state_machine_as_test(seed(20_261_122 + attempt)(machine), settings=bounded)
        if {name for name, reason in seen if reason is None} == tried:
            break

    assert {name for name, reason in seen if reason is None} == tried
    assert len({reason for _, reason in seen if reason is not None}) >= 8
