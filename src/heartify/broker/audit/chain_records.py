"""What the chain records of one broker: its audit anchors, the deals that name it, the datasets that named it.

Read at the deployment's finality from the node of whoever asks: an auditor uses his own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

from heartify.broker.audit.cross_check import DealWithBroker
from heartify.chain.deployment import Deployment
from heartify.chain.events import AuditLogAnchored, MatchedDeal, SettledDeal
from heartify.chain.market import MarketClient
from heartify.chain.reasons import chain_errors
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection


@dataclasses.dataclass(frozen=True, slots=True)
class Anchored:
    """An audit anchor on chain and its block's time, in UTC seconds."""

    event: AuditLogAnchored
    time: int


@dataclasses.dataclass(frozen=True, slots=True)
class ChainRecords:
    """Everything that the chain says of a broker. `anchors` are oldest first."""

    anchors: tuple[Anchored, ...]
    deals: tuple[DealWithBroker, ...]
    datasets: frozenset[str]


def read_chain_records(connection: Connection, deployment: Deployment, broker: str) -> ChainRecords:
    """Read what the chain has of a broker.

    Raises:
        ChainError: the node can't be reached or refuses.
        IntegrityError: a deal doesn't match its id.
    """
    registry, market = RegistryClient(connection, deployment), MarketClient(connection, deployment)

    @cache
    def time_of(block: int) -> int:
        with chain_errors(f"block {block}"):
            return int(connection.web3.eth.get_block(block)["timestamp"])

    settled = {str(item.settlement.deal): item for item in market.deals_settled()}
    deals = tuple(
        _deal(matched, settled.get(matched.deal_id), broker, time_of)
        for matched in market.deals_matched()
        if any(grant.broker == broker for grant in matched.deal.grants)
    )
    anchors = tuple(Anchored(event, time_of(event.place.block_number)) for event in registry.audit_anchors(broker))
    return ChainRecords(anchors, deals, registry.brokers_named().get(broker, frozenset()))


def _deal(
    matched: MatchedDeal, settled: SettledDeal | None, broker: str, time_of: Callable[[int], int]
) -> DealWithBroker:
    deal = matched.deal
    mine = [(index, grant.datasetVersion) for index, grant in enumerate(deal.grants) if grant.broker == broker]
    open_deal = DealWithBroker(
        deal=matched.deal_id,
        requester=deal.requester,
        matched_block=matched.place.block_number,
        matched_at=time_of(matched.place.block_number),
        deadline=int(deal.deadline),
        versions=frozenset(version for _, version in mine),
    )
    if settled is None:
        return open_deal
    return dataclasses.replace(
        open_deal,
        enclave=settled.enclave,
        settled_at=time_of(settled.place.block_number),
        contributed=frozenset(version for index, version in mine if not settled.settlement.is_left_out(index)),
    )
