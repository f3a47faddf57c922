"""Verify a run from public data: the receipt, the chain, the vendor roots that the verifier believes, and nothing else.

It trusts no party: not the pool that delivered the bundle, not the hospitals, not the lab itself. An auditor runs the
same checks, with or without the sealed result. The verdict is a list with a reason for each check; a check that can't
be made counts as not passed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.verifier import verify
from heartify.chain.events import SettledDeal
from heartify.chain.reasons import chain_errors
from heartify.errors import HeartifyError, IntegrityError
from heartify.party.market_access import MarketAccess
from heartify.protocol.bundle import NO_RESULT, Receipt, ReleaseRecord
from heartify.protocol.canonical import sha256_digest
from heartify.protocol.deal import Deal, verify_deal_id
from heartify.protocol.eip712 import address, bytes32, from_json
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.key_release import release_report_data
from heartify.protocol.outcomes import DealState, Outcome
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.signing import verify_signer


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One check: what was claimed, whether it holds, and the reason."""

    name: str
    passed: bool
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """The verdict over all checks."""

    deal_id: str
    simulated: bool
    checks: tuple[Check, ...]

    @property
    def verified(self) -> bool:
        """Return whether every check holds."""
        return bool(self.checks) and all(check.passed for check in self.checks)


@dataclasses.dataclass(frozen=True, slots=True)
class _Subject:
    """What the checks look at."""

    receipt: Receipt
    sealed_result: bytes | None
    deal: Deal
    settlement: Settlement
    access: MarketAccess
    policy: VerifierPolicy
    settled: SettledDeal | None


def verify_receipt(
    receipt: Receipt, sealed_result: bytes | None, access: MarketAccess, policy: VerifierPolicy
) -> Verification:
    """Verify a receipt, and that the sealed result is its own when one is given.

    Raises:
        DocumentError: the receipt's deal or settlement is malformed.
        ChainError: the chain can't be reached.
    """
    deal, settlement = from_json(Deal, receipt.deal), from_json(Settlement, receipt.settlement)
    settlement.check(len(deal.grants))
    settled = access.market.settlement_of(receipt.deal_id)
    subject = _Subject(receipt, sealed_result, deal, settlement, access, policy, settled)
    checks = tuple(_run(name, check, subject) for name, check in _CHECKS)
    checks += tuple(_hospital_checks(subject))
    return Verification(receipt.deal_id, TeeKind(deal.teeKind).is_simulated, checks)


def _run(name: str, check: Callable[[_Subject], str], subject: _Subject) -> Check:
    try:
        return Check(name, passed=True, reason=check(subject))
    except HeartifyError as exc:
        return Check(name, passed=False, reason=exc.message)


def _deal_id(s: _Subject) -> str:
    receipt, domain = s.receipt, s.access.deployment.domain
    if receipt.domain() != domain:
        raise IntegrityError("the receipt is for another market or chain")
    verify_deal_id(s.deal, domain, receipt.deal_id)
    kind = TeeKind(s.deal.teeKind)
    if (receipt.tee_kind, receipt.simulated) != (kind.wire_name, kind.is_simulated):
        raise IntegrityError(f"the receipt says {receipt.tee_kind}, the deal is for {kind.wire_name}")
    return "the deal in the receipt hashes to its id"


def _chain_state(s: _Subject) -> str:
    state = s.access.market.status_of(s.receipt.deal_id)
    if s.settled is None or state is not DealState(int(s.settlement.outcome)):
        raise IntegrityError(f"the deal is {state.name.lower()} on chain, the receipt says {s.settlement.kind.label}")
    if s.settled.settlement != s.settlement or s.settled.enclave != s.receipt.enclave:
        raise IntegrityError("the settlement on chain is not the receipt's")
    return f"settled on chain as {s.settlement.reason()}"


def _plan(s: _Subject) -> str:
    if s.receipt.plan.digest() != s.deal.planDigest:
        raise IntegrityError("the plan is not the one that was registered with the request")
    return "the plan is the one that was registered before payment"


def _app_release(s: _Subject) -> str:
    release = s.receipt.app_release
    if release.release_id() != s.deal.appRelease:
        raise IntegrityError("the app release is not the deal's")
    return f"{release.name} {release.version}, as the deal names it"


def _enclave_signature(s: _Subject) -> str:
    receipt = s.receipt
    digest = s.settlement.digest(receipt.domain())
    verify_signer(digest, receipt.enclave_signature, receipt.enclave, "the settlement")
    return "the settlement is signed by the enclave's key"


def _contributors(s: _Subject) -> str:
    records = [record.grant for record in s.receipt.releases]
    if len(set(records)) != len(records) or not set(records) <= set(range(len(s.deal.grants))):
        raise IntegrityError("the records of key releases are not one for each grant of the deal at most")
    count = sum(1 for index in range(len(s.deal.grants)) if not s.settlement.is_left_out(index))
    if count < (1 if s.settlement.kind is Outcome.FAILED else s.deal.minGrants):
        raise IntegrityError(f"{count} hospitals took part, the request demanded {s.deal.minGrants}")
    return f"{count} of {len(s.deal.grants)} hospitals took part, at least {s.deal.minGrants} were demanded"


def _result_digest(s: _Subject) -> str:
    if s.settlement.kind is not Outcome.DELIVERED:
        if s.sealed_result is not None or s.settlement.resultDigest != NO_RESULT:
            raise IntegrityError("there is a result although nothing was delivered")
        return "no result was delivered, and none is here"
    if s.sealed_result is None:
        return "the sealed result was not given; its digest is the settled one"
    if sha256_digest(s.sealed_result) != s.settlement.resultDigest:
        raise IntegrityError("the sealed result is not the one that the enclave signed")
    return "the sealed result is the one that the enclave signed"


def _money(s: _Subject) -> str:
    paid = sum(payment.amount for payment in s.access.market.payments(s.receipt.deal_id))
    if paid != s.deal.total_price():
        raise IntegrityError(f"payments and refund are {paid} base units, {s.deal.total_price()} were locked")
    return "payments and refund add up to what was locked"


_CHECKS: tuple[tuple[str, Callable[[_Subject], str]], ...] = (
    ("deal", _deal_id),
    ("chain", _chain_state),
    ("plan", _plan),
    ("app release", _app_release),
    ("enclave signature", _enclave_signature),
    ("hospitals", _contributors),
    ("result", _result_digest),
    ("money", _money),
)


def _hospital_checks(s: _Subject) -> Iterator[Check]:
    """Check key receipt and evidence of every hospital that took part."""
    records = {record.grant: record for record in s.receipt.releases}
    for index in range(len(s.deal.grants)):
        if not s.settlement.is_left_out(index):
            record = records.get(index)

            def check(subject: _Subject, index: int = index, record: ReleaseRecord | None = record) -> str:
                return _release(subject, index, record)

            yield _run(f"key release {index + 1}", check, s)


def _release(s: _Subject, index: int, record: ReleaseRecord | None) -> str:
    if record is None:
        raise IntegrityError("there is no record of a key release for a hospital that took part")
    receipt, grant = s.receipt, s.deal.grants[index]
    key_receipt = KeyReceipt(
        deal=bytes32(receipt.deal_id), datasetVersion=grant.datasetVersion, enclave=address(receipt.enclave)
    )
    verify_signer(key_receipt.digest(receipt.domain()), record.key_receipt_signature, grant.broker, "the key receipt")
    kind = TeeKind(s.deal.teeKind).wire_name
    result = verify(
        Evidence(kind, record.quote.removeprefix("0x"), receipt.collateral),
        s.policy,
        _settlement_time(s),
        expected_report_data=release_report_data(
            receipt.domain(),
            deal=receipt.deal_id,
            plan_digest=s.deal.planDigest,
            broker=grant.broker,
            nonce=record.nonce,
            encryption_public_key=receipt.encryption_public_key,
            enclave=receipt.enclave,
        ),
        reference_measurements=receipt.app_release.reference_measurements(kind),
    )
    word = "SIMULATED evidence" if result.simulated else "evidence"
    isolation = "" if result.isolation is None else f", isolated by {', '.join(result.isolation.words) or 'nothing'}"
    return f"{word} of the released code, {result.status}{isolation}, keys received from {grant.broker}"


def _settlement_time(s: _Subject) -> int:
    """Return when the deal was settled: evidence is judged by the collateral of its own time."""
    if s.settled is None:
        raise IntegrityError("the deal is not settled, so there is no time to judge its evidence by")
    with chain_errors("block"):
        block = s.access.connection.web3.eth.get_block(s.settled.place.block_number)
    return int(block["timestamp"])
