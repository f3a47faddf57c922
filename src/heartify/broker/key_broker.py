"""The key broker's decision: may this enclave have this version's column keys for this deal?

It trusts the hospital's own node, the vendor roots in the hospital's policy, and the app releases that the hospital
approved; never the requester, the pool, or anything that the request says of itself. It must never release a key
before the release is counted durably, nor release any key but those of the columns that the plan reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec

from heartify.attestation.collateral_source import CollateralSource, HostCollateral
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult
from heartify.attestation.verifier import verify
from heartify.broker.chain_view import ChainView
from heartify.broker.challenges import Challenges, PendingChallenge
from heartify.broker.deal_on_chain import check_deal_open
from heartify.broker.obligation import Obligation, Progress
from heartify.broker.requester_rules import check_requester
from heartify.broker.restore_guard import check_not_before_restore, restored_block
from heartify.broker.rollback import check_against_anchor
from heartify.broker.sealed_release import ReleaseSigner, seal_release
from heartify.broker.store import BrokerStore, HeldVersion
from heartify.broker.use_counter import Use
from heartify.broker.vault import Vault
from heartify.errors import HeartifyError, IntegrityError, PolicyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import digest_of, encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import Domain, from_json
from heartify.protocol.evidence import Evidence, TeeKind, parse_tee_kind
from heartify.protocol.grant_policy import check_plan_permitted
from heartify.protocol.key_release import Challenge, Release, ReleaseRequest, release_report_data
from heartify.protocol.plan import Plan, parse_plan
from heartify.protocol.plan_check import check_plan_fits

DEFAULT_RELEASES_PER_DEAL = 2


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class BrokerSettings:
    """Who the broker is and what it demands. Two releases a deal let a pool retry once after a crash.

    `chain_may_idle` is for the embedded chain, which makes a block only when someone sends a transaction; on any other
    chain an old newest block means that the hospital's node has stopped following it.
    """

    domain: Domain
    signing_private_key: bytes
    verifier_policy: VerifierPolicy
    releases_per_deal: int = DEFAULT_RELEASES_PER_DEAL
    chain_may_idle: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class KeyReceiptRecord:
    """A key receipt as it is handed out: what it is for, and the broker's signature."""

    version: str
    enclave: str
    key_receipt_signature: str


class KeyBroker:
    """Challenge and release for one hospital."""

    def __init__(
        self,
        settings: BrokerSettings,
        store: BrokerStore,
        vault: Vault,
        chain: ChainView,
        *,
        clock: Callable[[], int],
        randomness: Callable[[int], bytes],
        collateral: CollateralSource | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._chain = chain
        self._clock = clock
        self._collateral = collateral or HostCollateral()
        self._challenges = Challenges(clock, randomness)
        self._signer = ReleaseSigner(settings.domain, settings.signing_private_key)
        self.address = self._signer.address

    def challenge(self, deal: str) -> Challenge:
        """Return a fresh signed challenge for a deal; nothing is checked yet."""
        session, pending = self._challenges.create(deal)
        unsigned = Challenge(
            session=session,
            deal=deal,
            nonce=pending.nonce,
            broker=self.address,
            expires=pending.expires,
            signature="0x",
        )
        signature = self._signer.sign(unsigned.signed_digest(self._settings.domain))
        return msgspec.structs.replace(unsigned, signature=signature)

    def release(self, request: ReleaseRequest) -> Release:
        """Release the column keys for a deal to an attested enclave. Obligations, in this order:

        1. The challenge is this broker's, for the deal of the request, fresh and unused; it is used up now.
        2. The broker isn't paused, and its audit log continues the anchor on chain: nobody put an old database back.
        3. The deal names this broker for a version that it holds and hasn't revoked, under a grant of
           these terms that isn't revoked either.
        4. The chain, at a final block of the hospital's own node, says that the deal is open; its deadline lies ahead;
           the version is live there; the clocks agree; it was matched after the broker's last restore.
        5. The hospital's rules let this requester have keys.
        6. The plan is the deal's plan, the grant's policy permits it, and it fits the dictionary.
        7. The hospital itself approved the deal's app release for the deal's TEE kind.
        8. The evidence verifies, is of the deal's TEE kind, and binds challenge, broker, deal, plan and enclave keys.
        9. The collateral is not older than what this broker has seen.
        10. The keys of the plan's columns, and no others, are sealed to the attested key and signed.
        11. The release is counted durably and within the deal's limit, with its receipt and audit entry; only then
            does it leave this function. The same enclave may ask again, with a new challenge, at no further use.

        Raises:
            PolicyError, AttestationError, DocumentError, IntegrityError, InputError: an obligation fails.
            ChainError, ServiceError: the node, the database or the source of collateral can't be reached.
        """
        progress = Progress()
        try:
            return self._release(request, progress)
        except HeartifyError:
            self._store.refusals.note(progress)
            raise

    def receipts(self, deal: str) -> list[KeyReceiptRecord]:
        """Return the key receipts that this broker has signed for a deal: for a pool or lab that lost an answer."""
        return [
            KeyReceiptRecord(use.version, use.enclave, use.key_receipt_signature)
            for use in self._store.uses.of_deal(deal)
        ]

    def standing(self) -> str:
        """Return `ok`, or `paused`."""
        return "ok" if self._store.pause.reason() is None else "paused"

    def _release(self, request: ReleaseRequest, progress: Progress) -> Release:
        deal = from_json(Deal, request.deal)
        deal_id = deal.deal_id(self._settings.domain)
        progress.concerns(deal_id, request.dataset_version)
        pending = self._challenges.take(request.session, deal_id)  # 1
        progress.reached(Obligation.STANDING)
        self._check_standing()  # 2
        progress.reached(Obligation.GRANT)
        grant = self._grant_of(deal, request.dataset_version)  # 3
        held = self._store.live_version(grant.datasetVersion)
        policy = self._store.live_policy(deal, grant)
        progress.reached(Obligation.CHAIN)
        matched_block = self._check_chain(deal_id, deal, grant)  # 4
        progress.reached(Obligation.REQUESTER)
        self._check_requester(deal_id, deal)  # 5
        progress.reached(Obligation.PLAN)
        plan = self._plan_of(request, deal)  # 6
        check_plan_permitted(plan, policy)
        check_plan_fits(plan, held.dictionary)
        progress.reached(Obligation.APPROVAL)
        app_release = self._store.approvals.find(deal.appRelease)  # 7
        progress.reached(Obligation.EVIDENCE)
        result = self._verify_evidence(request, deal, pending, app_release)  # 8
        progress.reached(Obligation.COLLATERAL)
        self._store.marks.advance(result.marks)  # 9
        progress.reached(Obligation.KEYS)
        release = self._seal(request, pending, held, plan)  # 10
        progress.reached(Obligation.COUNTER)
        use = _use_of(request, deal, pending, result, release)
        self._store.uses.count(use, self._settings.releases_per_deal, matched_block=matched_block)  # 11
        return release

    def _check_standing(self) -> None:
        self._store.pause.check()
        anchor = self._chain.audit_anchor(self.address)
        with self._store.engine.connect() as connection:
            check_against_anchor(connection, anchor)

    def _grant_of(self, deal: Deal, version: str) -> DealGrant:
        for grant in deal.grants:
            if grant.datasetVersion == version and grant.broker == self.address:
                return grant
        raise PolicyError(f"the deal does not name this broker for the dataset version {version}")

    def _check_chain(self, deal_id: str, deal: Deal, grant: DealGrant) -> int | None:
        """Check the deal on chain; after a restore, return the block of its match."""
        idle = self._settings.chain_may_idle
        check_deal_open(self._chain, deal_id, int(deal.deadline), self._clock(), chain_may_idle=idle)
        if not self._chain.is_version_live(grant.datasetVersion):
            raise PolicyError(f"the dataset version {grant.datasetVersion} is paused or withdrawn on chain")
        with self._store.engine.connect() as connection:
            restored = restored_block(connection)
        if restored is None:
            return None
        matched = self._chain.matched_block(deal_id)
        check_not_before_restore(matched, restored)
        return matched

    def _check_requester(self, deal_id: str, deal: Deal) -> None:
        def deals_since(since: int) -> int:
            return self._store.uses.deals_of(deal.requester, since=since, besides=deal_id)

        check_requester(self._store.requesters.all(), deal.requester, deals_since, self._clock())

    def _plan_of(self, request: ReleaseRequest, deal: Deal) -> Plan:
        if digest_of(request.plan) != deal.planDigest:
            raise IntegrityError("the plan is not the deal's plan")
        return parse_plan(encode_canonical(request.plan))

    def _verify_evidence(
        self, request: ReleaseRequest, deal: Deal, pending: PendingChallenge, app_release: AppRelease
    ) -> AttestationResult:
        kind = TeeKind(deal.teeKind)
        if parse_tee_kind(request.evidence.tee_kind) is not kind:
            raise PolicyError(f"the deal is for {kind.wire_name}, the evidence is of {request.evidence.tee_kind}")
        return verify(
            self._with_collateral(request.evidence),
            self._settings.verifier_policy,
            self._clock(),
            expected_report_data=release_report_data(
                self._settings.domain,
                deal=pending.deal,
                plan_digest=deal.planDigest,
                broker=self.address,
                nonce=pending.nonce,
                encryption_public_key=request.encryption_public_key,
                enclave=request.enclave,
            ),
            reference_measurements=app_release.reference_measurements(kind.wire_name),
        )

    def _with_collateral(self, evidence: Evidence) -> Evidence:
        collateral = self._collateral.collateral_for(evidence, self._clock())
        return msgspec.structs.replace(evidence, collateral=collateral)

    def _seal(self, request: ReleaseRequest, pending: PendingChallenge, held: HeldVersion, plan: Plan) -> Release:
        return seal_release(
            self._signer,
            request,
            deal_id=pending.deal,
            nonce=pending.nonce,
            held=held,
            plan=plan,
            master_key=self._vault.unwrap(held.version, held.wrapped_master_key),
        )


def _use_of(
    request: ReleaseRequest, deal: Deal, pending: PendingChallenge, result: AttestationResult, release: Release
) -> Use:
    return Use(
        deal=pending.deal,
        version=request.dataset_version,
        requester=deal.requester,
        enclave=request.enclave,
        encryption_key_digest=sha256_digest(to_bytes(request.encryption_public_key)),
        measurement=to_hex(result.measurement),
        tee_kind=result.tee_kind.wire_name,
        simulated=result.simulated,
        key_receipt_signature=release.key_receipt_signature,
    )
