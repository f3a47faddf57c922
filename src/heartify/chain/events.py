"""What the contracts' events say, as typed values.

An event is as true as the node that reports it. Posted orders are a public bulletin that anyone may write to: a reader
verifies the signature and the maker before he relies on one.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Generic

from web3.types import EventData

from heartify.protocol.canonical import to_hex
from heartify.protocol.deal import Deal
from heartify.protocol.orders import Order, Signed
from heartify.protocol.outcomes import Outcome
from heartify.protocol.receipts import Settlement


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands on the chain; places sort in the chain's order."""

    block_number: int
    log_index: int
    tx_hash: str


class PaymentRole(enum.IntEnum):
    """For what an account is paid; the numbers are the contract's."""

    DATASET = 1
    APP = 2
    POOL = 3
    REFUND = 4

    @property
    def label(self) -> str:
        """Return the word used in documents and on screens."""
        return self.name.lower()


@dataclasses.dataclass(frozen=True, slots=True)
class Posted(Generic[Order]):
    """An order on the public bulletin; its signature is not verified."""

    signed: Signed[Order]
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class MatchedDeal:
    """A deal as it was matched; `deal_id` has been recomputed from `deal`."""

    deal_id: str
    deal: Deal
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class SettledDeal:
    """How a deal was settled, and by which enclave key."""

    settlement: Settlement
    enclave: str
    place: Place

    @property
    def outcome(self) -> Outcome:
        """Return delivered, withheld or failed."""
        return Outcome(self.settlement.outcome)


@dataclasses.dataclass(frozen=True, slots=True)
class Payment:
    """Tokens credited to an account when a deal was settled, in base units."""

    account: str
    role: PaymentRole
    amount: int


@dataclasses.dataclass(frozen=True, slots=True)
class ClosedDeal:
    """A deal that ended without an enclave: conceded by its pool, or reclaimed after the deadline.

    `compensation` is the pool's stake that went to the requester, in base units; 0 for a conceded deal.
    """

    deal_id: str
    compensation: int
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class VersionPublished:
    """A dataset version was registered; `owner` is who signs its grants now, ZERO_ADDRESS when it isn't live."""

    dataset: str
    version: str
    uri: str
    owner: str
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """The broker that a dataset's owner named last: the account that signs key receipts, and where it answers."""

    dataset: str
    broker: str
    uri: str
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class PoolEndpoint:
    """Where a pool answers, by its own word."""

    pool: str
    uri: str
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseRegistered:
    """An app release was registered."""

    release: str
    author: str
    uri: str
    place: Place


@dataclasses.dataclass(frozen=True, slots=True)
class AuditLogAnchored:
    """The head of a broker's audit log was anchored: entry number `sequence` has the digest `head`."""

    broker: str
    sequence: int
    head: str
    place: Place


def place_of(log: EventData) -> Place:
    """Return where a decoded log stands."""
    return Place(int(log["blockNumber"]), int(log["logIndex"]), to_hex(bytes(log["transactionHash"])))


def hex_of(value: Any) -> str:
    """Return a decoded bytes value as `0x` and lower-case digits."""
    return to_hex(bytes(value))
