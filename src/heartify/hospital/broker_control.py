"""What a steward does to the key broker beside running it: approve, pause, set rules, look at its status.

It works on the broker's database, also while the broker runs: a decision takes effect with the next release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

from heartify.broker.activity import recent_activity
from heartify.broker.audit.anchoring import newest_signed
from heartify.broker.database import open_database
from heartify.broker.kek.settings import load_kek_document
from heartify.broker.migrations.prepare_schema import CURRENT_REVISION
from heartify.broker.rollback import Anchor, continues
from heartify.broker.store import BrokerStore
from heartify.chain.deployment import load_deployment
from heartify.errors import ChainError, InputError, ServiceError
from heartify.hospital.approval import approve_release
from heartify.hospital.broker_status import BrokerStatus, ChainStanding
from heartify.hospital.collateral_standing import read_collateral_standing
from heartify.hospital.home import HospitalHome
from heartify.party.app_release import deployed_app_release
from heartify.party.http_client import get_json
from heartify.party.market_access import DEPLOYMENT_FILE, open_market
from heartify.party.trust import load_trust
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import parse_json
from heartify.protocol.eip712 import Domain

_HEALTH_SECONDS = 5.0


class BrokerControl:
    """A steward's hand on the broker of one home; needs no password, as nothing here opens a key."""

    def __init__(self, home: Path, clock: Callable[[], int] = lambda: int(time.time())) -> None:
        self.home = HospitalHome(home)
        self.settings = self.home.settings()
        self._clock = clock
        self.store = BrokerStore(open_database(self.home.database_url), clock)

    def approve(
        self,
        document: Path | None,
        *,
        measure: Callable[[], AbstractSet[bytes]],
        confirmed: AbstractSet[str] = frozenset(),
        keep_former: bool = False,
    ) -> tuple[AppRelease, tuple[str, ...]]:
        """Approve the app release of a file, or the deployment's; return it and the ids of those that it replaces.

        Raises:
            InputError: the file holds no app release.
            PolicyError: a measurement is neither computed here nor confirmed.
        """
        release = deployed_app_release(load_deployment(self.home.path / DEPLOYMENT_FILE))
        if document is not None:
            release = _load_release(document)
        former = approve_release(
            self.store.approvals, release, measure=measure, confirmed=confirmed, keep_former=keep_former
        )
        return release, former

    def status(self) -> BrokerStatus:
        """Return how the broker is. Raises only for a home or database that can't be read."""
        policy = load_trust(self.home.path)
        versions = self.store.versions()
        kek = load_kek_document(self.home.path)
        now = self._clock()
        return BrokerStatus(
            hospital=self.settings.name,
            broker=self.settings.broker,
            url=self.settings.broker_url,
            service=self._service(),
            paused=self.store.pause.reason(),
            chain=self._chain(),
            policy=policy.name,
            trusts_simulation=any(root.simulated for root in policy.roots),
            kek=str(type(kek.current).__struct_config__.tag),
            rotation_under_way=kek.next is not None,
            database=self.store.engine.dialect.name,
            schema=CURRENT_REVISION,  # opening the database brought it there
            collateral=read_collateral_standing(self.home.path, self.store.engine),
            signed_entry=self._signed_entry(),
            live_versions=sum(not revoked for _, _, revoked in versions),
            revoked_versions=sum(revoked for _, _, revoked in versions),
            live_grants=sum(not grant.revoked for grant in self.store.grants()),
            approved=tuple(f"{release.name} {release.version}" for release in self.store.approvals.all()),
            requester_rules=len(self.store.requesters.all()),
            activity=recent_activity(self.store.engine, now),
            now=now,
        )

    def _service(self) -> str:
        """Return what the broker's health page says, as long as it is this hospital's broker that answers."""
        try:
            answer = get_json(f"{self.settings.broker_url}/v1/health", timeout_seconds=_HEALTH_SECONDS)
        except ServiceError:
            return "unreachable"
        if not isinstance(answer, dict) or answer.get("broker") != self.settings.broker:
            return "unreachable"
        return "paused" if answer.get("status") == "paused" else "ok"

    def _signed_entry(self) -> int:
        deployment = load_deployment(self.home.path / DEPLOYMENT_FILE)
        domain = Domain(deployment.chain_id, deployment.registry)
        with self.store.engine.connect() as connection:
            newest = newest_signed(connection, self.settings.broker, domain)
        return 0 if newest is None else newest.sequence

    def _chain(self) -> ChainStanding | None:
        try:
            access = open_market(self.home.path)
            anchor = access.registry.audit_anchor(self.settings.broker, block="latest")
            with self.store.engine.connect() as connection:
                has_anchor = continues(connection, Anchor(anchor.sequence, str(anchor.head)))
            return ChainStanding(
                block_time=access.connection.time_utc_seconds(),
                may_idle=access.deployment.embedded,
                anchored_entry=anchor.sequence,
                anchored_at=anchor.time,
                continues=has_anchor,
            )
        except ChainError:
            return None


def _load_release(path: Path) -> AppRelease:
    try:
        return parse_json(path.read_bytes(), AppRelease)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise InputError(f"{path} can't be read: {reason}", hint="an app's author publishes its release") from exc
