"""The key broker's decision: may this enclave have this version's column keys for this deal?

It trusts the hospital's own node, the vendor roots in the hospital's policy, and the app releases that the hospital
approved; never the requester, the pool, or anything that the request says of itself. It must never release a key
before the release is counted durably, nor release any key but those of the columns that the plan reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec

from heartify.attestation.high_water import CollateralHighWater
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult
from heartify.attestation.verifier import verify
from heartify.broker.chain_view import ChainView
from heartify.broker.challenges import PendingChallenge, PendingChallenges
from heartify.broker.store import BrokerStore, HeldVersion, ReleaseEntry
from heartify.broker.vault import Vault
from heartify.cohort.encrypted.column_crypto import column_key
from heartify.errors import IntegrityError, PolicyError
from heartify.protocol.canonical import digest_of, encode_canonical, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant, verify_deal_id
from heartify.protocol.eip712 import Domain, address, bytes32, from_json
from heartify.protocol.evidence import TeeKind, parse_tee_kind
from heartify.protocol.grant_policy import check_plan_permitted
from heartify.protocol.key_release import (
    Challenge,
    ColumnKeys,
    Release,
    ReleaseRequest,
    release_digest,
    release_info,
    release_report_data,
)
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import Plan, parse_plan
from heartify.protocol.plan_check import check_plan_fits
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.sealing import seal
from heartify.protocol.signing import address_of, sign_digest

MAX_CLOCK_DIFFERENCE_SECONDS = 600
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
    ) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._chain = chain
        self._clock = clock
        self._challenges = PendingChallenges(clock, randomness)
        self.address = address_of(settings.signing_private_key)

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
        signature = self._sign(unsigned.signed_digest(self._settings.domain))
        return msgspec.structs.replace(unsigned, signature=signature)

    def release(self, request: ReleaseRequest) -> Release:
        """Release the column keys for a deal to an attested enclave. Obligations, in this order:

        1. The challenge is this broker's, fresh and unused; it is used up now.
        2. The request's deal is the deal that the challenge was for.
        3. The deal names this broker for a version that it holds and hasn't revoked, under a grant of
           these terms that isn't revoked either.
        4. The chain, at a final block of the hospital's own node, says that the deal is open; its deadline lies ahead;
           the version is live there; the clocks agree.
        5. The plan is the deal's plan, the grant's policy permits it, and it fits the dictionary.
        6. The hospital itself approved the deal's app release for the deal's TEE kind.
        7. The evidence verifies, is of the deal's TEE kind, and binds challenge, broker, deal, plan and enclave keys.
        8. The collateral is not older than what this broker has seen.
        9. The keys of the plan's columns, and no others, are sealed to the attested key and signed.
        10. The release is counted durably and within the deal's limit; only then does it leave this function.

        Raises:
            PolicyError, AttestationError, DocumentError, IntegrityError, InputError: an obligation fails.
            ChainError: the node can't be reached.
        """
        pending = self._challenges.take(request.session)  # 1
        deal = self._deal_of(request, pending)  # 2
        grant = self._grant_of(deal, request.dataset_version)  # 3
        held = self._store.live_version(grant.datasetVersion)
        policy = self._store.live_policy(deal, grant)
        self._check_chain(pending.deal, deal, grant)  # 4
        plan = self._plan_of(request, deal)  # 5
        check_plan_permitted(plan, policy)
        check_plan_fits(plan, held.dictionary)
        result = self._verify_evidence(request, deal, pending)  # 6, 7
        marks = CollateralHighWater(self._store.collateral_marks()).advance(result.marks)  # 8
        self._store.store_collateral_marks(marks.marks)
        master_key = self._vault.unwrap(held.version, held.wrapped_master_key)
        release = self._seal(request, pending, held, plan, master_key)  # 9
        self._count(request, pending, result)  # 10
        return release

    def _deal_of(self, request: ReleaseRequest, pending: PendingChallenge) -> Deal:
        deal = from_json(Deal, request.deal)
        verify_deal_id(deal, self._settings.domain, pending.deal)
        return deal

    def _grant_of(self, deal: Deal, version: str) -> DealGrant:
        for grant in deal.grants:
            if grant.datasetVersion == version and grant.broker == self.address:
                return grant
        raise PolicyError(f"the deal does not name this broker for the dataset version {version}")

    def _check_chain(self, deal_id: str, deal: Deal, grant: DealGrant) -> None:
        state = self._chain.deal_state(deal_id)
        if state is not DealState.OPEN:
            raise PolicyError(f"the deal is {state.name.lower()} on chain, not open")
        chain_time, own_time = self._chain.time_utc_seconds(), self._clock()
        if chain_time > own_time + MAX_CLOCK_DIFFERENCE_SECONDS:
            raise PolicyError("the chain's clock is ahead of this broker's", hint="set the broker's clock")
        if max(chain_time, own_time) > deal.deadline:
            raise PolicyError("the deal's deadline has passed")
        if own_time > chain_time + MAX_CLOCK_DIFFERENCE_SECONDS and not self._settings.chain_may_idle:
            raise PolicyError("the newest block is old", hint="the hospital's node is behind, or its clock is ahead")
        if not self._chain.is_version_live(grant.datasetVersion):
            raise PolicyError(f"the dataset version {grant.datasetVersion} is paused or withdrawn on chain")

    def _plan_of(self, request: ReleaseRequest, deal: Deal) -> Plan:
        if digest_of(request.plan) != deal.planDigest:
            raise IntegrityError("the plan is not the deal's plan")
        return parse_plan(encode_canonical(request.plan))

    def _verify_evidence(self, request: ReleaseRequest, deal: Deal, pending: PendingChallenge) -> AttestationResult:
        kind = TeeKind(deal.teeKind)
        if parse_tee_kind(request.evidence.tee_kind) is not kind:
            raise PolicyError(f"the deal is for {kind.wire_name}, the evidence is of {request.evidence.tee_kind}")
        release = self._store.approved_release(deal.appRelease)
        return verify(
            request.evidence,
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
            reference_measurements=release.reference_measurements(kind.wire_name),
        )

    def _count(self, request: ReleaseRequest, pending: PendingChallenge, result: AttestationResult) -> None:
        version = request.dataset_version
        entry = ReleaseEntry(
            deal=pending.deal,
            version=version,
            attempt=self._store.release_count(pending.deal, version) + 1,
            enclave=request.enclave,
            measurement=to_hex(result.measurement),
            simulated=result.simulated,
            released_at=self._clock(),
        )
        self._store.count_release(entry, self._settings.releases_per_deal)

    def _seal(
        self, request: ReleaseRequest, pending: PendingChallenge, held: HeldVersion, plan: Plan, master_key: bytes
    ) -> Release:
        domain, manifest = self._settings.domain, held.manifest
        dataset, nonce = to_bytes(manifest.dataset), to_bytes(manifest.version_nonce)
        keys = {
            column: to_hex(column_key(master_key, dataset=dataset, version_nonce=nonce, column=column))
            for column in plan.columns()
        }
        info = release_info(domain, pending.deal, held.version, self.address, pending.nonce, request.enclave)
        content = encode_canonical(ColumnKeys(dataset_version=held.version, keys=keys))
        sealed = seal(content, to_bytes(request.encryption_public_key), info)
        receipt = KeyReceipt(
            deal=bytes32(pending.deal), datasetVersion=bytes32(held.version), enclave=address(request.enclave)
        )
        return Release(
            dataset_version=held.version,
            sealed_keys=to_hex(sealed),
            release_signature=self._sign(release_digest(info, sealed)),
            key_receipt_signature=self._sign(receipt.digest(domain)),
        )

    def _sign(self, digest: bytes) -> str:
        return sign_digest(self._settings.signing_private_key, digest)
