"""Build what anchors a running broker's audit log: its signed heads, and the keeper that submits them.

The keeper sends from the broker's own account, and only while that has ether; a broker without any signs all the same,
and `newest()` of the anchoring is what `GET /v1/audit/anchor` hands to whoever wants to pay.
"""

from __future__ import annotations

import dataclasses
import time

import sqlalchemy as sa

from heartify.broker.audit.anchor_keeper import AnchorKeeper, has_ether
from heartify.broker.audit.anchoring import AnchorSchedule, AuditAnchoring
from heartify.chain.deployment import Deployment
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection
from heartify.chain.sender import Sender
from heartify.protocol.signing import sign_digest


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerAnchoring:
    """The anchoring of one broker, and its keeper, which is a context manager to run the service within."""

    anchoring: AuditAnchoring
    keeper: AnchorKeeper


def build_anchoring(
    engine: sa.Engine,
    connection: Connection,
    deployment: Deployment,
    broker_private_key: bytes,
    *,
    schedule: AnchorSchedule | None = None,
) -> BrokerAnchoring:
    """Return the anchoring of the broker whose key and database these are. Nothing is signed or sent yet."""
    sender = Sender(connection, broker_private_key)
    registry = RegistryClient(connection, deployment, sender)
    anchoring = AuditAnchoring(
        engine,
        broker=sender.address,
        domain=registry.domain,
        sign=lambda digest: sign_digest(broker_private_key, digest),
        clock=lambda: int(time.time()),
        schedule=schedule,
    )
    return BrokerAnchoring(
        anchoring, AnchorKeeper(anchoring, registry, can_pay=lambda: has_ether(connection, sender.address))
    )
