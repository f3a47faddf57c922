"""The settlement table: who was paid what for a deal, and what it cost in gas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from heartify.chain.events import PaymentRole
from heartify.errors import UsageError
from heartify.party.market_access import MarketAccess
from heartify.party.money import format_amount
from heartify.protocol.canonical import Address, Digest
from heartify.protocol.deal import Deal
from heartify.protocol.evidence import TeeKind
from heartify.protocol.outcomes import DealState


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One payment; `amount` in base units, `shown` as people read it."""

    party: str
    role: str
    account: Address
    amount: str
    shown: str


class SettlementDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`settlement.json`."""

    format: Literal["heartify.settlement/1"] = "heartify.settlement/1"
    deal: Digest
    state: str
    outcome: str
    simulated: bool
    locked: str
    locked_shown: str
    payments: tuple[PaymentRow, ...]
    token: str
    match_gas: int | None
    settle_gas: int | None
    match_tx: str | None
    settle_tx: str | None


def build_settlement(
    access: MarketAccess, deal_id: str, deal: Deal, names: Mapping[str, str], *, match: tuple[int, str] | None
) -> SettlementDocument:
    """Read how a deal ended and who was paid; `names` maps accounts to the names people know them by.

    Raises:
        UsageError: the deal is still open.
    """
    market = access.market
    state = market.status_of(deal_id)
    if state in (DealState.OPEN, DealState.NONE):
        raise UsageError(f"the deal {deal_id} is {state.name.lower()}, so nothing was paid yet")
    settled = market.settlement_of(deal_id)
    rows = [
        _row(access, names, payment.role.label, payment.account, payment.amount) for payment in market.payments(deal_id)
    ]
    if settled is None:
        rows.append(_row(access, names, PaymentRole.REFUND.label, deal.requester, deal.total_price()))
    reclaimed = market.deals_reclaimed(deal_id=deal_id)
    rows += [_row(access, names, "the pool's stake", deal.requester, closed.compensation) for closed in reclaimed]
    settle_tx = None if settled is None else settled.place.tx_hash
    gas = None
    if settle_tx is not None:
        gas = int(access.connection.web3.eth.get_transaction_receipt(settle_tx)["gasUsed"])  # type: ignore[arg-type]
    return SettlementDocument(
        deal=deal_id,
        state=state.name.lower(),
        outcome=state.name.lower() if settled is None else settled.settlement.reason(),
        simulated=TeeKind(deal.teeKind).is_simulated,
        locked=str(deal.total_price()),
        locked_shown=format_amount(deal.total_price(), access.deployment),
        payments=tuple(rows),
        token=access.deployment.token_symbol,
        match_gas=match[0] if match else None,
        settle_gas=gas,
        match_tx=match[1] if match else None,
        settle_tx=settle_tx,
    )


def _row(access: MarketAccess, names: Mapping[str, str], role: str, account: str, amount: int) -> PaymentRow:
    shown = format_amount(amount, access.deployment)
    return PaymentRow(party=names.get(account, account), role=role, account=account, amount=str(amount), shown=shown)
