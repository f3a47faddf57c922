"""The lab's use cases: catalogue, plan, quote, run, status, open, verify. The command line calls these.

Money is spent in one place, `run`, and only after everything that can be checked without spending was. What a run needs
later (plan, pool, deal id) is on disk before the plan is handed in, so that nothing is lost with a crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from heartify.errors import ChainError, InputError, IntegrityError, ServiceError, UsageError
from heartify.lab.dry_run.dry_run import DryRun, dry_run
from heartify.lab.home import DealRecord, LabHome, LabSettings
from heartify.lab.opening import Opened, check_verified, open_result
from heartify.lab.pool_client import WANTS_PLAN, ask_pool, download_bundle, submit_plan
from heartify.lab.quote import Offers, Quote, build_quote
from heartify.lab.request import build_request, check_terms
from heartify.lab.settlement import SettlementDocument, build_settlement
from heartify.lab.stores import lab_store_access
from heartify.lab.titles import read_party_names, read_titles
from heartify.lab.verification import Verification, verify_receipt
from heartify.market.catalogue import CatalogueEntry, build_catalogue, load_documents, load_public_document
from heartify.market.order_book import OrderBook
from heartify.party.account import deposit_tokens
from heartify.party.app_release import deployed_app_release
from heartify.party.home import load_document, store_document, write_atomically
from heartify.party.keystore import create_account, create_seed, load_secret
from heartify.party.market_access import MarketAccess, adopt_deployment, open_market
from heartify.party.trust import load_trust, trust_simulated_root
from heartify.protocol.bundle import Receipt, ResultBundle
from heartify.protocol.canonical import encode_canonical, to_bytes, to_hex
from heartify.protocol.orders import sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import Plan, parse_plan_toml
from heartify.protocol.sealing import SealingKey

DEFAULT_DEADLINE_SECONDS = 3600
EMBEDDED_POLL_SECONDS, POLL_SECONDS = 0.2, 4.0


@dataclasses.dataclass(frozen=True, slots=True)
class DealStatus:
    """Where a deal stands on chain, and at the pool as far as it answers."""

    deal_id: str
    state: DealState
    deadline: int
    pool_state: str
    step: str
    problem: str


class Lab:
    """One lab, by its home folder and the password of its keystores."""

    def __init__(self, home: Path, password: bytes) -> None:
        self.home = LabHome(home)
        self._password = password

    @classmethod
    def init(
        cls,
        home: Path,
        password: bytes,
        *,
        deployment: Path,
        unsafe_simulated_root: Path | None = None,
        required_isolation: Sequence[str] = (),
    ) -> Lab:
        """Create a lab's home with its account and result key.

        `required_isolation` are measures, such as `sandbox`, that a simulated TEE must state in its evidence.

        Raises:
            UsageError: the home exists already.
            PolicyError: a measure is unknown.
            InputError, ChainError, IntegrityError: the deployment is not usable.
        """
        lab = cls(home, password)
        lab.home.check_new()
        adopt_deployment(home, deployment)
        if unsafe_simulated_root is not None:
            trust_simulated_root(home, unsafe_simulated_root, required_isolation)
        account = create_account(lab.home.account_keystore, password)
        result_key = SealingKey.from_seed(create_seed(lab.home.result_keystore, password))
        store_document(lab.home.settings_file, LabSettings(account=account, result_key=to_hex(result_key.public_key)))
        return lab

    @property
    def settings(self) -> LabSettings:
        """Return the settings of the home."""
        return self.home.settings()

    def catalogue(self) -> tuple[CatalogueEntry, ...]:
        """Return every live dataset version, with the grants that are open to this lab."""
        return self._offers(open_market(self.home.path)).entries

    def plan(self, plan_toml: Path) -> Plan:
        """Read and check a study plan.

        Raises:
            InputError: it can't be read or is wrong.
        """
        try:
            text = plan_toml.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InputError(f"the plan {plan_toml} can't be read") from exc
        return parse_plan_toml(text, source=plan_toml.name)

    def quote(self, plan: Plan, *, versions: Collection[str] | None = None) -> Quote:
        """Return what a study would use and cost now.

        Raises:
            InputError, PolicyError: no dataset fits, or a named one doesn't.
        """
        access = open_market(self.home.path)
        release_id = deployed_app_release(access.deployment).release_id()
        return build_quote(plan, self._offers(access), release_id, versions)

    def dry_run(
        self, plan: Plan, *, versions: Collection[str] | None = None, report: Callable[[str], None] = lambda _: None
    ) -> DryRun:
        """Rehearse a study on the versions' synthetic twins, free of charge, and keep how it went.

        Raises:
            InputError: no dataset fits, or a named one doesn't or has no twin.
            EnclaveError: the enclave's program failed in a way that it has no code for.
        """
        done = dry_run(plan, self.catalogue(), versions, report=report)
        store_document(self.home.dry_run_file(plan.digest()), done)
        return done

    def has_rehearsed(self, plan: Plan) -> bool:
        """Tell whether a dry run of exactly this plan was made from this home."""
        return self.home.dry_run_file(plan.digest()).exists()

    def documents(self, version: str) -> dict[str, bytes]:
        """Return a version's public documents by name, each checked by its digest.

        Raises:
            InputError: the catalogue has no live version of that id.
            ServiceError, IntegrityError, DocumentError: its store can't be read or holds something else.
        """
        entry = next((entry for entry in self.catalogue() if entry.version == version), None)
        if entry is None:
            raise InputError(f"the catalogue has no live version {version}", hint="`heartify lab catalogue` lists them")
        store = entry.open_store()
        manifest = load_documents(store, version).manifest
        names = [document.name for document in manifest.documents]
        found = {name: load_public_document(store, version, manifest, name) for name in names}
        return {name: data for name, data in found.items() if data is not None}

    def run(
        self,
        quote: Quote,
        *,
        min_grants: int | None = None,
        deadline_seconds: int = DEFAULT_DEADLINE_SECONDS,
        max_total: int | None = None,
    ) -> DealRecord:
        """Deposit what is missing, sign the request, and match; `submit` the record's plan to the pool next.

        `min_grants` is how many hospitals must take part for the deal to be settled: all of them by default.

        Raises:
            UsageError: the price is over `max_total`, the account has too few tokens, or `min_grants` or
                `deadline_seconds` make no sense; nothing was sent.
            RevertError: an order was used up or withdrawn in between; nothing was locked.
        """
        min_grants = len(quote.grants) if min_grants is None else min_grants
        check_terms(quote, min_grants, deadline_seconds, max_total)
        private_key = load_secret(self.home.account_keystore, self._password)
        access = open_market(self.home.path, private_key)
        pool_url = self._pool_url(access, quote.pool.order.pool)
        request = build_request(
            quote,
            self.settings,
            min_grants=min_grants,
            deadline_seconds=deadline_seconds,
            now=access.connection.time_utc_seconds("latest"),
            nonce=self._next_nonce(access),
        )
        signed = sign_order(request, access.deployment.domain, private_key)
        missing = quote.total - access.market.free_of(self.settings.account, block="latest")
        if missing > 0:
            deposit_tokens(access, self.settings.account, missing)
        grants = [grant.grant.live.signed for grant in quote.grants]
        matched = access.market.match_orders(grants, quote.app.signed, quote.pool.signed, signed)
        record = DealRecord(
            deal_id=matched.deal_id,
            plan=to_hex(encode_canonical(quote.plan)),
            pool_url=pool_url,
            deadline=matched.deal.deadline,
            match_gas=matched.gas_used,
            match_tx=matched.tx_hash,
        )
        store_document(self.home.deal_folder(matched.deal_id) / "deal.json", record)
        return record

    def submit(self, record: DealRecord) -> None:
        """Hand a deal's plan to its pool; doing it again is harmless, and `status` does while the pool lacks it.

        Raises:
            ServiceError: the pool can't be reached or refuses.
        """
        submit_plan(record, self.settings.result_key)

    def status(self, deal_id: str) -> DealStatus:
        """Return where a deal stands in the newest block; hands the plan in while the pool lacks it.

        Raises:
            UsageError: this lab has no such deal.
        """
        record = self.home.record(deal_id)
        return self._status(record, open_market(self.home.path))

    def _status(self, record: DealRecord, access: MarketAccess) -> DealStatus:
        state = access.market.status_of(record.deal_id, block="latest")
        answer = ask_pool(record)
        if state is DealState.OPEN and answer.state in WANTS_PLAN:
            with contextlib.suppress(ServiceError):  # down, or the deal isn't final yet: the next call tries again
                self.submit(record)
        return DealStatus(record.deal_id, state, record.deadline, answer.state, answer.step, answer.problem)

    def wait(
        self, deal_id: str, *, timeout_seconds: float, report: Callable[[DealStatus], None] | None = None
    ) -> DealStatus:
        """Wait until a deal has ended on chain and its bundle can be had.

        Raises:
            ServiceError: it hasn't ended in time.
        """
        record, access = self.home.record(deal_id), open_market(self.home.path)
        pause = EMBEDDED_POLL_SECONDS if access.deployment.embedded else POLL_SECONDS
        give_up = time.monotonic() + timeout_seconds
        while time.monotonic() < give_up:
            status = self._status(record, access)
            if report is not None:
                report(status)
            if status.state is not DealState.OPEN:
                return status
            time.sleep(pause)
        raise ServiceError(f"the deal {deal_id} has not ended within {timeout_seconds:.0f} seconds")

    def reclaim(self, deal_id: str) -> None:
        """Take the money of a deal back after its deadline, with the pool's stake.

        Raises:
            RevertError: the deadline hasn't passed, or the deal has ended.
        """
        access = open_market(self.home.path, load_secret(self.home.account_keystore, self._password))
        access.market.reclaim(access.market.find_deal(deal_id).deal)

    def fetch_bundle(self, deal_id: str) -> ResultBundle:
        """Return a deal's result bundle from disk, else from the pool, and keep it.

        Raises:
            ServiceError: the pool doesn't have it.
            IntegrityError: it is of another deal.
            DocumentError: the file on disk is damaged.
        """
        path = self.home.deal_folder(deal_id) / "bundle.json"
        bundle = (
            load_document(path, ResultBundle, hint="") if path.exists() else download_bundle(self.home.record(deal_id))
        )
        if bundle.receipt.deal_id != deal_id:
            raise IntegrityError("this is the bundle of another deal")
        if not path.exists():
            write_atomically(path, encode_canonical(bundle))
        return bundle

    def verify(self, receipt: Receipt, sealed_result: bytes | None = None) -> Verification:
        """Verify a receipt from public data under this lab's trust policy."""
        return verify_receipt(receipt, sealed_result, open_market(self.home.path), load_trust(self.home.path))

    def open(self, deal_id: str) -> Opened:
        """Verify a deal's bundle, then decrypt its result. Nothing is decrypted that wasn't verified.

        Raises:
            IntegrityError: a check failed, or the result isn't sealed to this lab's key.
            UsageError: the deal is still open, or its pool gave it back, or it was reclaimed.
        """
        access = open_market(self.home.path)
        state = access.market.status_of(deal_id)
        if state is DealState.OPEN:
            raise UsageError(f"the deal {deal_id} is still open", hint="`heartify lab status` shows its progress")
        if access.market.settlement_of(deal_id) is None:
            raise UsageError(
                f"the deal {deal_id} ended without an enclave's word ({state.name.lower()}): there is nothing to open",
                hint="its money is back in escrow; `heartify lab status` says what the pool saw",
            )
        bundle = self.fetch_bundle(deal_id)
        sealed = None if bundle.sealed_result is None else to_bytes(bundle.sealed_result)
        verification = self.verify(bundle.receipt, sealed)
        check_verified(verification)
        result = open_result(bundle, SealingKey.from_seed(load_secret(self.home.result_keystore, self._password)))
        titles = read_titles(access, bundle.receipt)
        return Opened(deal_id, bundle, verification, result, self.settlement(deal_id), titles)

    def settlement(self, deal_id: str) -> SettlementDocument:
        """Return who was paid what.

        Raises:
            UsageError: the deal is still open.
        """
        access = open_market(self.home.path)
        matched, record = access.market.find_deal(deal_id), self.home.record(deal_id)
        return build_settlement(
            access,
            deal_id,
            matched.deal,
            read_party_names(access, matched.deal),
            match=(record.match_gas, record.match_tx),
        )

    def _offers(self, access: MarketAccess) -> Offers:
        book = OrderBook(access.market, access.registry, access.deployment.domain, access.deployment.block)
        now, me = int(time.time()), self.settings.account
        entries = build_catalogue(access.registry, book, now, me, lab_store_access(access))
        return Offers(entries=entries, apps=book.app_offers(now, me), pools=book.pool_offers(now, me))

    def _next_nonce(self, access: MarketAccess) -> int:
        """Return the lowest nonce likely to be unused: consecutive ones share a storage word, which saves gas."""
        nonce = len(self.home.deal_ids())
        while access.market.is_nonce_used(self.settings.account, nonce, block="latest"):
            nonce += 1
        return nonce

    def _pool_url(self, access: MarketAccess, pool: str) -> str:
        for endpoint in access.registry.pool_endpoints(pool=pool):
            return endpoint.uri.rstrip("/")
        raise ChainError(f"the pool {pool} has registered no address")
