"""What a broker holds: dataset versions with their wrapped keys, and grants with their policies.

Its parts keep what else the broker must not forget: uses, approvals, rules, the pause, and marks of collateral.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.approvals import Approvals
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.collateral_marks import CollateralMarks
from heartify.broker.erasure import erase_deleted
from heartify.broker.pause import Pause
from heartify.broker.refusals import Refusals
from heartify.broker.requester_rules import RequesterRules
from heartify.broker.use_counter import UseCounter
from heartify.broker.vault import key_commitment
from heartify.errors import PolicyError
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.destruction import DestructionMethod
from heartify.protocol.dictionary import DataDictionary, parse_dictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.manifest import Manifest, parse_manifest
from heartify.protocol.orders import DatasetGrant, Signed, parse_signed


def _now() -> int:
    return int(time.time())


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class HeldVersion:
    """A dataset version that this broker holds the wrapped master key of."""

    version: str
    manifest: Manifest
    dictionary: DataDictionary
    wrapped_master_key: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant that the hospital posted."""

    order_digest: str
    signed: Signed[DatasetGrant]
    policy: GrantPolicy
    revoked: bool


class BrokerStore:
    """The broker's state on one SQLAlchemy engine: what it holds, and in its parts what it decided and counted.

    Every change is in the audit log, in the same transaction. `clock` gives UTC seconds.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], int] = _now) -> None:
        self.engine = engine
        self._clock = clock
        self.uses = UseCounter(engine, clock)
        self.approvals = Approvals(engine, clock)
        self.requesters = RequesterRules(engine, clock)
        self.pause = Pause(engine, clock)
        self.refusals = Refusals(engine, clock)
        self.marks = CollateralMarks(engine)

    def add_version(self, version: str, manifest: bytes, dictionary: bytes, wrapped_master_key: bytes) -> None:
        """Keep a new version.

        Raises:
            PolicyError: this version's key was destroyed before; a destroyed key never comes back.
        """
        if self.destroyed_key(version) is not None:
            raise PolicyError(f"the key of dataset version {version} was destroyed", hint="publish a new version")
        dataset = parse_manifest(manifest, version).dataset
        row = {
            "version": version,
            "dataset": dataset,
            "manifest": manifest,
            "dictionary": dictionary,
            "wrapped_master_key": wrapped_master_key,
            "revoked": False,
        }
        with db.writing(self.engine) as connection:
            connection.execute(sa.insert(db.versions).values(row))
            append(connection, self._clock(), AuditEvent.VERSION_ADDED, {"version": version, "dataset": dataset})

    def add_grant(self, order_digest: str, signed: Signed[DatasetGrant], policy: GrantPolicy) -> None:
        """Keep a grant and its policy, before the grant is posted."""
        version = signed.order.datasetVersion
        row = {
            "order_digest": order_digest,
            "version": version,
            "policy_digest": signed.order.policyDigest,
            "policy": encode_canonical(policy),
            "signed_order": msgspec.json.encode({"order": signed.order.to_json(), "signature": signed.signature}),
            "revoked": False,
        }
        with db.writing(self.engine) as connection:
            connection.execute(sa.insert(db.grants).values(row))
            append(connection, self._clock(), AuditEvent.GRANT_ADDED, {"order": order_digest, "version": version})

    def revoke_grant(self, order_digest: str) -> None:
        """Release no key under this grant any more; harmless when it is revoked or unknown."""
        this = (db.grants.c.order_digest == order_digest) & ~db.grants.c.revoked
        with db.writing(self.engine) as connection:
            if connection.execute(sa.update(db.grants).where(this).values(revoked=True)).rowcount:
                append(connection, self._clock(), AuditEvent.GRANT_REVOKED, {"order": order_digest})

    def revoke_version(self, version: str) -> None:
        """Revoke a version and overwrite its wrapped key: no key of it is ever released again.

        Its commitment is kept. Copies of the row's old bytes are gone after `erase_revoked_keys`.
        """
        this = db.versions.c.version == version
        with db.writing(self.engine) as connection:
            row = connection.execute(sa.select(db.versions).where(this)).first()
            if row is None or (row.revoked and row.wrapped_master_key is None):
                return
            details = {"version": version}
            if row.wrapped_master_key is not None:
                wrapped = row.wrapped_master_key
                details["key_commitment"] = key_commitment(version, wrapped)
                values = {"version": version, "key_commitment": details["key_commitment"]}
                connection.execute(sa.insert(db.destroyed_keys).values(values))
                # Zeros of equal length go where the key lies; only then is the field emptied.
                connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=bytes(len(wrapped))))
            connection.execute(sa.update(db.versions).where(this).values(revoked=True, wrapped_master_key=None))
            append(connection, self._clock(), AuditEvent.VERSION_REVOKED, details)

    def erase_revoked_keys(self) -> DestructionMethod:
        """Erase what the database still holds of overwritten keys; return how far that goes. It may be repeated.

        Raises:
            ServiceError: another process uses the database just now.
        """
        return erase_deleted(self.engine)

    def destroyed_key(self, version: str) -> str | None:
        """Return the commitment to a version's destroyed key; None when it wasn't destroyed."""
        row = self._one(sa.select(db.destroyed_keys).where(db.destroyed_keys.c.version == version))
        return None if row is None else str(row.key_commitment)

    def live_version(self, version: str) -> HeldVersion:
        """Return a version that isn't revoked.

        Raises:
            PolicyError: this broker doesn't hold it, or it is revoked.
        """
        row = self._one(sa.select(db.versions).where(db.versions.c.version == version))
        if row is None:
            raise PolicyError(f"this broker does not hold the dataset version {version}")
        if row.revoked or row.wrapped_master_key is None:
            raise PolicyError(f"the dataset version {version} is revoked")
        manifest = parse_manifest(row.manifest, version)
        return HeldVersion(version, manifest, parse_dictionary(row.dictionary), row.wrapped_master_key)

    def live_policy(self, deal: Deal, granted: DealGrant) -> GrantPolicy:
        """Return the policy of a grant that isn't revoked and that this part of a deal can have come from.

        A deal does not name the grant's digest, so its terms are compared: a revoked grant must not live on in another
        one that only shares its policy.

        Raises:
            PolicyError: there is no such grant, or every one is revoked.
        """
        table = db.grants.c
        rows = self._all(
            sa.select(db.grants).where(
                table.version == granted.datasetVersion, table.policy_digest == granted.policyDigest, ~table.revoked
            )
        )
        for held in map(_held_grant, rows):
            if _can_be_from(held.signed.order, deal, granted):
                return held.policy
        raise PolicyError("the grant of this deal is unknown to this broker, or revoked")

    def versions(self) -> tuple[tuple[str, str, bool], ...]:
        """Return (version, dataset, revoked) of every version."""
        rows = self._all(sa.select(db.versions.c.version, db.versions.c.dataset, db.versions.c.revoked))
        return tuple((row.version, row.dataset, row.revoked) for row in rows)

    def grants(self) -> tuple[HeldGrant, ...]:
        """Return every grant."""
        return tuple(_held_grant(row) for row in self._all(sa.select(db.grants)))

    def _one(self, query: sa.Select[tuple[object, ...]]) -> sa.Row[tuple[object, ...]] | None:
        with self.engine.connect() as connection:
            return connection.execute(query).first()

    def _all(self, query: sa.Select[tuple[object, ...]]) -> list[sa.Row[tuple[object, ...]]]:
        with self.engine.connect() as connection:
            return list(connection.execute(query))


def _held_grant(row: sa.Row[tuple[object, ...]]) -> HeldGrant:
    signed = parse_signed(DatasetGrant, msgspec.json.decode(row.signed_order))
    return HeldGrant(row.order_digest, signed, parse_canonical(row.policy, GrantPolicy), row.revoked)


def _can_be_from(grant: DatasetGrant, deal: Deal, granted: DealGrant) -> bool:
    """Tell whether the market could have matched this grant into the deal; for whom it is, the contract checks."""
    return (
        (grant.price, grant.withheldBps, grant.broker) == (granted.price, granted.withheldBps, granted.broker)
        and grant.appRelease == deal.appRelease
        and bool(grant.teeKinds & deal.teeKind)
        and grant.pool in (ZERO_ADDRESS, deal.pool)
    )
