"""What a broker remembers: versions and wrapped keys, granted policies, approved releases, and the use counter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.erasure import erase_deleted
from heartify.broker.vault import key_commitment
from heartify.errors import PolicyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.destruction import DestructionMethod
from heartify.protocol.dictionary import DataDictionary, parse_dictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.manifest import Manifest, parse_manifest
from heartify.protocol.orders import DatasetGrant, Signed, parse_signed


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


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseEntry:
    """One key release, as the use counter keeps it."""

    deal: str
    version: str
    attempt: int
    enclave: str
    measurement: str
    simulated: bool
    released_at: int


class BrokerStore:
    """The broker's state, on one SQLAlchemy engine."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add_version(self, version: str, manifest: bytes, dictionary: bytes, wrapped_master_key: bytes) -> None:
        """Keep a new version.

        Raises:
            PolicyError: this version's key was destroyed before; a destroyed key never comes back.
        """
        if self.destroyed_key(version) is not None:
            raise PolicyError(f"the key of dataset version {version} was destroyed", hint="publish a new version")
        dataset = parse_manifest(manifest, version).dataset
        self._write(
            sa.insert(db.versions).values(
                version=version,
                dataset=dataset,
                manifest=manifest,
                dictionary=dictionary,
                wrapped_master_key=wrapped_master_key,
                revoked=False,
            )
        )

    def add_grant(self, order_digest: str, signed: Signed[DatasetGrant], policy: GrantPolicy) -> None:
        """Keep a grant and its policy, before the grant is posted."""
        self._write(
            sa.insert(db.grants).values(
                order_digest=order_digest,
                version=signed.order.datasetVersion,
                policy_digest=signed.order.policyDigest,
                policy=encode_canonical(policy),
                signed_order=msgspec.json.encode({"order": signed.order.to_json(), "signature": signed.signature}),
                revoked=False,
            )
        )

    def approve_release(self, release: AppRelease) -> None:
        """Approve an app release; approving again what was withdrawn is allowed."""
        release_id = release.release_id()
        with self._engine.begin() as connection:
            connection.execute(sa.delete(db.app_releases).where(db.app_releases.c.release_id == release_id))
            values = {"release_id": release_id, "document": encode_canonical(release), "approved": True}
            connection.execute(sa.insert(db.app_releases).values(values))

    def revoke_grant(self, order_digest: str) -> None:
        """Release no key under this grant any more."""
        self._write(sa.update(db.grants).where(db.grants.c.order_digest == order_digest).values(revoked=True))

    def revoke_version(self, version: str) -> None:
        """Revoke a version and overwrite its wrapped key: no key of it is ever released again.

        Its commitment is kept. Copies of the row's old bytes are gone after `erase_revoked_keys`.
        """
        this = db.versions.c.version == version
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(db.versions.c.wrapped_master_key).where(this)).first()
            wrapped = None if row is None else row.wrapped_master_key
            if wrapped is not None:
                commitment = key_commitment(version, wrapped)
                connection.execute(sa.insert(db.destroyed_keys).values(version=version, key_commitment=commitment))
                # Zeros of equal length go where the key lies; only then is the field emptied.
                connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=bytes(len(wrapped))))
            connection.execute(sa.update(db.versions).where(this).values(revoked=True, wrapped_master_key=None))

    def erase_revoked_keys(self) -> DestructionMethod:
        """Erase what the database still holds of overwritten keys; return how far that goes. It may be repeated.

        Raises:
            ServiceError: another process uses the database just now.
        """
        return erase_deleted(self._engine)

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

    def approved_release(self, release_id: str) -> AppRelease:
        """Return an approved app release.

        Raises:
            PolicyError: the hospital has not approved it.
        """
        row = self._one(sa.select(db.app_releases).where(db.app_releases.c.release_id == release_id))
        if row is None or not row.approved:
            raise PolicyError(f"this hospital has not approved the app release {release_id}")
        return parse_canonical(row.document, AppRelease)

    def approved_releases(self) -> tuple[AppRelease, ...]:
        """Return every approved app release."""
        rows = self._all(sa.select(db.app_releases).where(db.app_releases.c.approved))
        return tuple(parse_canonical(row.document, AppRelease) for row in rows)

    def count_release(self, entry: ReleaseEntry, limit: int) -> None:
        """Count a release durably, before any key leaves.

        Raises:
            PolicyError: the deal has used up its releases.
        """
        if entry.attempt > limit:
            raise PolicyError(f"the keys for this deal were released {limit} times already")
        try:
            self._write(sa.insert(db.releases).values(dataclasses.asdict(entry)))
        except sa.exc.IntegrityError as exc:
            raise PolicyError("another release for this deal is being counted") from exc

    def release_count(self, deal: str, version: str) -> int:
        """Return how often this version's keys were released for this deal."""
        table = db.releases.c
        query = sa.select(sa.func.max(table.attempt)).where(table.deal == deal, table.version == version)
        row = self._one(query)
        return int(str(row[0])) if row is not None and row[0] is not None else 0

    def collateral_marks(self) -> dict[str, int]:
        """Return the high-water marks of the collateral seen so far."""
        rows = self._all(sa.select(db.collateral_marks.c.scope, db.collateral_marks.c.number))
        return {row.scope: row.number for row in rows}

    def store_collateral_marks(self, marks: Mapping[str, int]) -> None:
        """Raise the high-water marks. A slower request can't lower what a faster one has raised meanwhile."""
        table = db.collateral_marks
        with self._engine.begin() as connection:
            for scope, number in marks.items():
                # One statement reads and writes, so nothing comes between; it writes nothing for a mark that is higher.
                known = sa.select(table.c.scope).where(table.c.scope == scope)
                values = sa.select(sa.literal(scope), sa.literal(number)).where(~known.exists())
                connection.execute(sa.insert(table).from_select(["scope", "number"], values))
                lower = (table.c.scope == scope) & (table.c.number < number)
                connection.execute(sa.update(table).where(lower).values(number=number))

    def versions(self) -> tuple[tuple[str, str, bool], ...]:
        """Return (version, dataset, revoked) of every version."""
        rows = self._all(sa.select(db.versions.c.version, db.versions.c.dataset, db.versions.c.revoked))
        return tuple((row.version, row.dataset, row.revoked) for row in rows)

    def grants(self) -> tuple[HeldGrant, ...]:
        """Return every grant."""
        return tuple(_held_grant(row) for row in self._all(sa.select(db.grants)))

    def releases(self) -> tuple[ReleaseEntry, ...]:
        """Return the use counter, oldest first."""
        rows = self._all(sa.select(db.releases).order_by(db.releases.c.released_at))
        return tuple(ReleaseEntry(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public row mapping

    def _write(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)

    def _one(self, query: sa.Select[tuple[object, ...]]) -> sa.Row[tuple[object, ...]] | None:
        with self._engine.connect() as connection:
            return connection.execute(query).first()

    def _all(self, query: sa.Select[tuple[object, ...]]) -> list[sa.Row[tuple[object, ...]]]:
        with self._engine.connect() as connection:
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
