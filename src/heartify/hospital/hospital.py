"""The hospital's use cases: init, publish, grant, revoke, status. The command line calls these, and so can a notebook.

Nothing is half done: keys reach the broker's state before a version is registered, a policy lies in the store before
its grant is posted, and a failed step leaves at most an unreferenced encrypted file behind.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec
import sqlalchemy as sa

from heartify.broker.database import open_database
from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.store import BrokerStore, HeldGrant
from heartify.broker.use_counter import CountedUse
from heartify.chain.deployment import load_deployment
from heartify.cohort.storage.store import open_store
from heartify.errors import InputError, UsageError
from heartify.hospital.approval import approve_release
from heartify.hospital.home import HospitalHome, HospitalSettings, check_settings
from heartify.hospital.kek import open_kek
from heartify.hospital.opt_outs import OptOutChange, record_opt_outs, take_back_opt_outs
from heartify.hospital.publishing.check_cohort import Checked, check_cohort
from heartify.hospital.publishing.journal import JournalFolder
from heartify.hospital.publishing.open_source import CohortSource, open_source
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.publish import Published, publish
from heartify.hospital.publishing.terms import (
    NO_DECISIONS,
    REGISTER,
    Decisions,
    PublishTerms,
    Registration,
    Report,
    report_nothing,
)
from heartify.hospital.state_lock import using_state
from heartify.hospital.withdrawal import WithdrawalPorts, withdraw_version
from heartify.market.catalogue import policy_file
from heartify.party.app_release import deployed_app_release
from heartify.party.home import store_document
from heartify.party.keystore import create_private_key, create_seed, load_secret
from heartify.party.market_access import DEPLOYMENT_FILE, MarketAccess, adopt_deployment, open_market
from heartify.party.trust import trust_simulated_root
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import Address, encode_canonical, to_hex
from heartify.protocol.destruction import DestructionReason, DestructionReceipt
from heartify.protocol.eip712 import MAX_UINT256, ZERO_ADDRESS, address, bytes32, uint256
from heartify.protocol.evidence import parse_tee_kind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.orders import DatasetGrant, sign_order
from heartify.protocol.plan import Purpose
from heartify.protocol.signing import address_of

MAX_GRANT_DAYS = 3650


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GrantTerms:
    """The terms of a grant. `price` is in base units of the token, `days` counts from now."""

    price: int
    columns: tuple[str, ...] = ()
    purposes: tuple[Purpose, ...] = (Purpose.HEALTH_RESEARCH,)
    permit: str | None = None
    uses: int = 1
    days: int = 30
    withheld_bps: int = 0
    requester: str = ZERO_ADDRESS
    pool: str = ZERO_ADDRESS
    tee_kinds: tuple[str, ...] = ("sgx",)


@dataclasses.dataclass(frozen=True, slots=True)
class HospitalStatus:
    """What a steward wants to see on a Monday morning."""

    settings: HospitalSettings
    versions: tuple[tuple[str, str, bool], ...]
    grants: tuple[HeldGrant, ...]
    releases: tuple[CountedUse, ...]
    approved: tuple[AppRelease, ...]
    earned: int


class Hospital:
    """One hospital, by its home folder and the password of its keystores."""

    def __init__(self, home: Path, password: bytes) -> None:
        self.home = HospitalHome(home)
        self._password = password
        self._opened: dict[Path, bytes] = {}
        self._engine: sa.Engine | None = None
        self._kek: KeyEncryptionKey | None = None

    @classmethod
    def init(  # noqa: PLR0913 - the settings of a home, each by its name
        cls,
        home: Path,
        password: bytes,
        *,
        name: str,
        deployment: Path,
        store_url: str,
        broker_url: str,
        public_store_url: str | None = None,
        database_url: str | None = None,
        unsafe_simulated_root: Path | None = None,
        required_isolation: Sequence[str] = (),
    ) -> Hospital:
        """Create a hospital's home with its three keys.

        `required_isolation` are measures, such as `sandbox`, that a simulated TEE must state in its evidence.

        Raises:
            UsageError: the home exists already.
            InputError, ChainError, IntegrityError: a setting is malformed, or the deployment is not usable.
            ServiceError: the database can't be reached.
        """
        hospital = cls(home, password)
        hospital.home.check_new()
        check_settings(name, store_url, broker_url, public_store_url, database_url)
        if database_url is not None:
            open_database(database_url).dispose()  # it must be there before a home relies on it
        adopt_deployment(home, deployment)
        if unsafe_simulated_root is not None:
            trust_simulated_root(home, unsafe_simulated_root, required_isolation)
        made = hospital.home
        # Kept open: deriving a key from the password is slow on purpose, and a notebook publishes next.
        hospital._opened = {
            made.account_keystore: create_private_key(made.account_keystore, password),
            made.broker_keystore: create_private_key(made.broker_keystore, password),
            made.vault_keystore: create_seed(made.vault_keystore, password),
        }
        settings = HospitalSettings(
            name=name,
            account=address_of(hospital._opened[made.account_keystore]),
            broker=address_of(hospital._opened[made.broker_keystore]),
            store_url=store_url,
            broker_url=broker_url,
            public_store_url=public_store_url,
            database_url=database_url,
        )
        store_document(hospital.home.settings_file, settings)
        return hospital

    @property
    def settings(self) -> HospitalSettings:
        """Return the settings of the home."""
        return self.home.settings()

    def publish(
        self,
        cohort: CohortSource,
        *,
        dataset_name: str = "cohort",
        decisions: Decisions = NO_DECISIONS,
        registration: Registration = REGISTER,
        report: Report = report_nothing,
    ) -> Published:
        """Read, check, encrypt, store and register a cohort as the next version of a dataset.

        A publication that was killed is continued by the same call.

        Raises:
            InputError: the source or the dictionary is wrong, or a finding isn't accepted; nothing was written.
            PolicyError: too few patients changed since an earlier version; nothing was written.
            ServiceError, ChainError: the store or the chain can't be reached; the next call goes on from there.
        """
        self.home.settings()
        with using_state(self.home.path):
            ports = self._publishing_ports()
            with open_source(cohort, self.home.work_folder, report) as opened:
                terms = PublishTerms(
                    rows=opened.rows,
                    steward=opened.steward,
                    dataset_name=dataset_name,
                    decisions=decisions,
                    registration=registration,
                )
                return publish(ports, terms, report=report)

    def check(self, cohort: CohortSource, *, report: Report = report_nothing) -> Checked:
        """Survey a cohort as publishing would, without publishing: what must be decided about, before any key is made.

        Raises:
            InputError: the source or the dictionary is wrong.
        """
        return check_cohort(cohort, self.home.work_folder, today=dt.datetime.now(dt.UTC).date(), report=report)

    def approve(
        self, measure: Callable[[], AbstractSet[bytes]], confirmed_measurement: str | None = None
    ) -> AppRelease:
        """Approve the deployment's app release; raises PolicyError when its measurement isn't confirmed."""
        release = deployed_app_release(self._market(read_only=True).deployment)
        approvals = self._broker_store().approvals
        if release not in approvals.all():
            confirmed = frozenset({confirmed_measurement} if confirmed_measurement else ())
            approve_release(approvals, release, measure=measure, confirmed=confirmed)
        return release

    def grant(self, version: str, terms: GrantTerms) -> HeldGrant:
        """Sign and post a grant on a version; the release must have been approved before.

        Raises:
            PolicyError: the app release isn't approved, or the version isn't this hospital's.
            InputError: a column isn't in the version, or the terms make no sense.
        """
        broker_store, access = self._broker_store(), self._market()
        held = broker_store.live_version(version)
        release_id = deployed_app_release(access.deployment).release_id()
        broker_store.approvals.find(release_id)
        _check_terms(terms)
        policy = self._policy(held.manifest.column_names, terms)
        order = self._grant_order(version, release_id, policy, terms)
        signed = sign_order(order, access.deployment.domain, self._account_key())
        order_digest = to_hex(order.digest(access.deployment.domain))
        open_store(self.settings.store_url).put(policy_file(version, policy.digest()), encode_canonical(policy))
        broker_store.add_grant(order_digest, signed, policy)
        access.market.post_grant(signed)
        return HeldGrant(order_digest, signed, policy, revoked=False)

    def revoke_grant(self, order_digest: str) -> None:
        """Revoke one grant: the broker refuses from now on, and the chain matches it no more.

        Raises:
            UsageError: there is no such grant.
        """
        store = self._broker_store()
        for grant in store.grants():
            if grant.order_digest == order_digest:
                store.revoke_grant(order_digest)
                self._market().market.cancel_nonce(grant.signed.order.nonce)
                return
        raise UsageError(f"this hospital has no grant {order_digest}", hint="`heartify hospital status` lists them")

    def withdraw_version(
        self,
        version: str,
        *,
        reason: DestructionReason = DestructionReason.UNSPECIFIED,
        remove_files: bool = False,
    ) -> DestructionReceipt:
        """Withdraw a version for good: its key is destroyed here, the registry calls it dead, a receipt says so.

        Raises:
            UsageError: there is no such version.
            ServiceError: the broker's database is in use, or the store can't be reached; a second call goes on.
            ChainError: the registry could not be told; the key is destroyed all the same, and a second call tells it.
        """
        ports = WithdrawalPorts(
            broker_store=self._broker_store(),
            destructions=self.home.destructions,
            domain=load_deployment(self.home.path / DEPLOYMENT_FILE).domain,
            broker_private_key=self._secret(self.home.broker_keystore),
            registry=lambda: self._market().registry,
            store=lambda: open_store(self.settings.store_url),
            clock=lambda: int(time.time()),
            shred_copies=(self._shred_journal,),
        )
        return withdraw_version(version, ports, reason=reason, remove_files=remove_files)

    def record_opt_outs(
        self, ids_file: Path, *, column: str | None = None, day: dt.date | None = None, take_back: bool = False
    ) -> OptOutChange:
        """Record the patients of a file as opted out, or take that back; ids themselves are not kept.

        Raises:
            InputError: the file is not a list of ids, or the day lies ahead; nothing was changed.
        """
        record = take_back_opt_outs if take_back else record_opt_outs
        seed = self._secret(self.home.vault_keystore)
        return record(self.home.path, seed, ids_file, today=dt.datetime.now(dt.UTC).date(), day=day, column=column)

    def status(self) -> HospitalStatus:
        """Return versions, grants, key releases, approvals and earnings."""
        store, access = self._broker_store(), self._market(read_only=True)
        earned = access.market.free_of(self.settings.account)
        approved = store.approvals.all()
        return HospitalStatus(self.settings, store.versions(), store.grants(), store.uses.all(), approved, earned)

    def _policy(self, stored: Sequence[str], terms: GrantTerms) -> GrantPolicy:
        columns = terms.columns or tuple(stored)
        if unknown := [column for column in columns if column not in stored]:
            raise InputError(
                f"the version has no column {', '.join(unknown)}", hint=f"its columns: {', '.join(stored)}"
            )
        return GrantPolicy(hospital=self.settings.name, columns=columns, purposes=terms.purposes, permit=terms.permit)

    def _grant_order(self, version: str, release_id: str, policy: GrantPolicy, terms: GrantTerms) -> DatasetGrant:
        now = int(time.time())
        kinds = 0
        for name in terms.tee_kinds:
            kinds |= int(parse_tee_kind(name))
        return DatasetGrant(
            datasetVersion=bytes32(version),
            broker=address(self.settings.broker),
            appRelease=bytes32(release_id),
            requester=address(terms.requester),
            pool=address(terms.pool),
            teeKinds=uint256(kinds),
            price=uint256(terms.price),
            withheldBps=uint256(terms.withheld_bps),
            uses=uint256(terms.uses),
            policyDigest=bytes32(policy.digest()),
            notBefore=uint256(now - 60),
            expiry=uint256(now + terms.days * 86400),
            nonce=uint256(len(self._broker_store().grants())),  # consecutive nonces share a word, which saves gas
        )

    def _market(self, *, read_only: bool = False) -> MarketAccess:
        return open_market(self.home.path, None if read_only else self._account_key())

    def _account_key(self) -> bytes:
        return self._secret(self.home.account_keystore)

    def _shred_journal(self, dataset: str, version: str) -> None:
        """Destroy the copy of a version's key that a publication which didn't end has left."""
        folder = JournalFolder(self.home.publishing(dataset))
        if folder.holds(version):
            with folder.locked():
                folder.remove()

    def _publishing_ports(self) -> Ports:
        settings, engine = self.settings, self._database()
        return Ports(
            home=self.home,
            settings=settings,
            vault_seed=self._secret(self.home.vault_keystore),
            kek=self._key_encryption_key(engine),
            broker_store=BrokerStore(engine),
            store=open_store(settings.store_url),
            access=self._market(),
            today=dt.datetime.now(dt.UTC).date(),
        )

    def _secret(self, keystore: Path) -> bytes:
        """Open a keystore once: its key derivation is slow on purpose."""
        if keystore not in self._opened:
            self._opened[keystore] = load_secret(keystore, self._password)
        return self._opened[keystore]

    def _key_encryption_key(self, engine: sa.Engine) -> KeyEncryptionKey:
        """Open the KEK once: a secret of the environment is there only the first time."""
        if self._kek is None:
            self._kek = open_kek(self.home.path, engine, self._secret, os.environ)
        return self._kek

    def _broker_store(self) -> BrokerStore:
        self.home.settings()
        return BrokerStore(self._database())

    def _database(self) -> sa.Engine:
        """Open the broker's database once."""
        if self._engine is None:
            self._engine = open_database(self.home.database_url)
        return self._engine


def _check_terms(terms: GrantTerms) -> None:
    if terms.price < 0 or terms.uses < 1 or terms.days < 1 or not 0 <= terms.withheld_bps <= 10_000:
        raise InputError("a grant needs a price of 0 or more, at least 1 use, 1 day, and a share of 0 to 10000")
    if not terms.purposes or not terms.tee_kinds:
        raise InputError("a grant needs at least one purpose and one TEE kind", hint="without them nobody could use it")
    if max(terms.price, terms.uses) > MAX_UINT256 or terms.days > MAX_GRANT_DAYS:
        raise InputError(f"a grant's numbers are too large; it lasts at most {MAX_GRANT_DAYS} days")
    for what, account in (("requester", terms.requester), ("pool", terms.pool)):
        try:
            msgspec.convert(account, Address)
        except msgspec.ValidationError as exc:
            raise InputError(
                f"the {what} is not an account address", hint="0x and 40 hexadecimal digits in lower case"
            ) from exc
