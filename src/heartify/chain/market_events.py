"""Read the Market's events: posted orders, matched deals, settlements and payments.

A deal from the chain is believed only after its id has been recomputed from its content, so a node can't show a broker
one deal under another deal's id.
"""

from __future__ import annotations

from web3.types import EventData

from heartify.chain.client import ContractClient
from heartify.chain.deployment import Deployment
from heartify.chain.events import (
    ClosedDeal,
    MatchedDeal,
    Payment,
    PaymentRole,
    Posted,
    SettledDeal,
    hex_of,
    place_of,
)
from heartify.chain.rpc import Connection, Finality
from heartify.chain.sender import Sender
from heartify.errors import ChainError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.deal import Deal, verify_deal_id
from heartify.protocol.eip712 import bytes32, from_abi, uint256
from heartify.protocol.orders import AppOffer, DatasetGrant, Order, PoolOffer, Signed
from heartify.protocol.receipts import Settlement


class MarketEvents(ContractClient):
    """The reading half of the market's client. `from_block` defaults to the deployment's first block."""

    def __init__(self, connection: Connection, deployment: Deployment, sender: Sender | None = None) -> None:
        super().__init__(connection, "Market", deployment.market, deployment.finality, sender)
        self.deployment = deployment
        self.domain = deployment.domain

    def grants_posted(
        self, from_block: int | None = None, *, dataset_version: str | None = None, to: Finality | None = None
    ) -> tuple[Posted[DatasetGrant], ...]:
        """Return the posted grants, oldest first; verify each before relying on it."""
        version = None if dataset_version is None else to_bytes(dataset_version)
        logs = self._logs("GrantPosted", self._start(from_block), to, datasetVersion=version)
        return tuple(_posted(DatasetGrant, log) for log in logs)

    def app_offers_posted(
        self, from_block: int | None = None, *, app_release: str | None = None, to: Finality | None = None
    ) -> tuple[Posted[AppOffer], ...]:
        """Return the posted app offers, oldest first; verify each before relying on it."""
        release = None if app_release is None else to_bytes(app_release)
        logs = self._logs("AppOfferPosted", self._start(from_block), to, appRelease=release)
        return tuple(_posted(AppOffer, log) for log in logs)

    def pool_offers_posted(
        self, from_block: int | None = None, *, pool: str | None = None, to: Finality | None = None
    ) -> tuple[Posted[PoolOffer], ...]:
        """Return the posted pool offers, oldest first; verify each before relying on it."""
        logs = self._logs("PoolOfferPosted", self._start(from_block), to, pool=pool)
        return tuple(_posted(PoolOffer, log) for log in logs)

    def deals_matched(
        self,
        from_block: int | None = None,
        *,
        pool: str | None = None,
        requester: str | None = None,
        to: Finality | None = None,
    ) -> tuple[MatchedDeal, ...]:
        """Return the matched deals, oldest first.

        Raises:
            IntegrityError: a deal's content does not match its id.
        """
        logs = self._logs("DealMatched", self._start(from_block), to, pool=pool, requester=requester)
        return tuple(self._matched(log) for log in logs)

    def find_deal(self, deal_id: str, *, from_block: int | None = None, to: Finality | None = None) -> MatchedDeal:
        """Return the deal of this id.

        Raises:
            ChainError: there is no such deal in the blocks that are final enough.
            IntegrityError: its content does not match its id.
        """
        for log in self._logs("DealMatched", self._start(from_block), to, deal=to_bytes(deal_id)):
            return self._matched(log)
        raise ChainError(
            f"deal {deal_id} is not on the chain", hint="it may need more confirmations, or is of another deployment"
        )

    def settlement_of(
        self, deal_id: str, *, from_block: int | None = None, to: Finality | None = None
    ) -> SettledDeal | None:
        """Return how a deal was settled; None while it is open, conceded or reclaimed."""
        for log in self._logs("DealSettled", self._start(from_block), to, deal=to_bytes(deal_id)):
            return _settled(log)
        return None

    def deals_settled(self, from_block: int | None = None, *, to: Finality | None = None) -> tuple[SettledDeal, ...]:
        """Return the settlements of all deals, oldest first."""
        return tuple(_settled(log) for log in self._logs("DealSettled", self._start(from_block), to))

    def payments(
        self, deal_id: str, *, from_block: int | None = None, to: Finality | None = None
    ) -> tuple[Payment, ...]:
        """Return what the settlement of a deal credited to whom, in the contract's order."""
        logs = self._logs("Paid", self._start(from_block), to, deal=to_bytes(deal_id))
        return tuple(
            Payment(log["args"]["account"].lower(), PaymentRole(log["args"]["role"]), int(log["args"]["amount"]))
            for log in logs
        )

    def deals_conceded(
        self, from_block: int | None = None, *, deal_id: str | None = None, to: Finality | None = None
    ) -> tuple[ClosedDeal, ...]:
        """Return the deals that their pool gave back, oldest first."""
        deal = None if deal_id is None else to_bytes(deal_id)
        logs = self._logs("DealConceded", self._start(from_block), to, deal=deal)
        return tuple(ClosedDeal(hex_of(log["args"]["deal"]), 0, place_of(log)) for log in logs)

    def deals_reclaimed(
        self, from_block: int | None = None, *, deal_id: str | None = None, to: Finality | None = None
    ) -> tuple[ClosedDeal, ...]:
        """Return the deals that were refunded after their deadline, oldest first."""
        deal = None if deal_id is None else to_bytes(deal_id)
        logs = self._logs("DealReclaimed", self._start(from_block), to, deal=deal)
        return tuple(
            ClosedDeal(hex_of(log["args"]["deal"]), int(log["args"]["compensation"]), place_of(log)) for log in logs
        )

    def _matched(self, log: EventData) -> MatchedDeal:
        deal_id = hex_of(log["args"]["deal"])
        deal = from_abi(Deal, log["args"]["data"])
        verify_deal_id(deal, self.domain, deal_id)
        return MatchedDeal(deal_id, deal, place_of(log))

    def _start(self, from_block: int | None) -> int:
        return self.deployment.block if from_block is None else from_block


def _posted(kind: type[Order], log: EventData) -> Posted[Order]:
    return Posted(Signed(from_abi(kind, log["args"]["order"]), hex_of(log["args"]["signature"])), place_of(log))


def _settled(log: EventData) -> SettledDeal:
    values = log["args"]
    settlement = Settlement(
        deal=bytes32(hex_of(values["deal"])),
        outcome=uint256(int(values["outcome"])),
        code=uint256(int(values["code"])),
        leftOut=uint256(int(values["leftOut"])),
        resultDigest=bytes32(hex_of(values["resultDigest"])),
    )
    return SettledDeal(settlement, values["enclave"].lower(), place_of(log))
