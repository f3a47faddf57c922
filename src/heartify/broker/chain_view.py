"""What a broker must know of the chain, read from the hospital's own node at a final block."""

from __future__ import annotations

from typing import Protocol

from heartify.broker.rollback import Anchor
from heartify.chain.deployment import Deployment
from heartify.chain.market import MarketClient
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection
from heartify.protocol.outcomes import DealState


class ChainView(Protocol):
    """The chain as a broker sees it. Every method raises ChainError when the node can't be reached."""

    def deal_state(self, deal: str) -> DealState:
        """Return the state of a deal at a final block."""

    def is_version_live(self, version: str) -> bool:
        """Tell whether a version is registered and neither paused nor withdrawn."""

    def time_utc_seconds(self) -> int:
        """Return the chain's clock."""

    def matched_block(self, deal: str) -> int:
        """Return the block in which a deal was matched."""

    def audit_anchor(self, broker: str) -> Anchor:
        """Return the newest anchor of a broker's audit log, in the newest block."""


class NodeChainView:
    """The chain as the hospital's own node shows it."""

    def __init__(self, connection: Connection, deployment: Deployment) -> None:
        self._connection = connection
        self._market = MarketClient(connection, deployment)
        self._registry = RegistryClient(connection, deployment)

    def deal_state(self, deal: str) -> DealState:
        """Return the state of a deal at a final block."""
        return self._market.status_of(deal)

    def is_version_live(self, version: str) -> bool:
        """Tell whether a version is live in the newest block: a withdrawal counts at once."""
        return self._registry.is_version_live(version, block="latest")

    def time_utc_seconds(self) -> int:
        """Return the newest block's time."""
        return self._connection.time_utc_seconds()

    def matched_block(self, deal: str) -> int:
        """Return the block of the deal's match, searched from the market's first block."""
        return self._market.find_deal(deal).place.block_number

    def audit_anchor(self, broker: str) -> Anchor:
        """Return the newest anchor; a new one counts at once."""
        found = self._registry.audit_anchor(broker, block="latest")
        return Anchor(found.sequence, found.head)
