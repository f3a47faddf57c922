"""Verification from public data: a genuine bundle passes; each part, tampered with in turn, fails the right checks."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.errors import ChainError, DocumentError
from heartify.lab.verification import verify_receipt
from heartify.protocol.canonical import to_bytes, to_hex
from heartify.protocol.outcomes import DealState
from heartify.protocol.signing import sign_digest

ALL_RELEASES = {"key release 1", "key release 2"}


def verify(run, receipt=None, sealed="own", policy=None):
    sealed_result = to_bytes(run.bundle.sealed_result) if sealed == "own" else sealed
    return verify_receipt(receipt or run.bundle.receipt, sealed_result, run.access, policy or run.policy)


def failed(verification) -> set[str]:
    return {check.name for check in verification.checks if not check.passed}


def test_genuine_bundle_is_verified_and_says_that_it_is_simulated(run):
    verification = verify(run)

    assert failed(verification) == set()
    assert verification.verified
    assert verification.simulated
    assert len(verification.checks) == 10
    assert "SIMULATED evidence" in verification.checks[-1].reason


def test_auditor_without_the_sealed_result_verifies_the_rest(run):
    verification = verify(run, sealed=None)

    assert verification.verified
    assert "was not given" in next(check.reason for check in verification.checks if check.name == "result")


def replace(**changes):
    return lambda receipt: msgspec.structs.replace(receipt, **changes)


def in_deal(**changes):
    return lambda receipt: msgspec.structs.replace(receipt, deal={**receipt.deal, **changes})


def in_settlement(**changes):
    return lambda receipt: msgspec.structs.replace(receipt, settlement={**receipt.settlement, **changes})


def in_release(index: int, **changes):
    def tamper(receipt):
        releases = list(receipt.releases)
        releases[index] = msgspec.structs.replace(releases[index], **changes)
        return msgspec.structs.replace(receipt, releases=tuple(releases))

    return tamper


def exchange_key_receipts(receipt):
    first, second = receipt.releases
    swapped = msgspec.structs.replace(first, key_receipt_signature=second.key_receipt_signature)
    return msgspec.structs.replace(receipt, releases=(swapped, second))


def exchange_quotes(receipt):
    first, second = receipt.releases
    return msgspec.structs.replace(
        receipt,
        releases=(
            msgspec.structs.replace(first, quote=second.quote),
            msgspec.structs.replace(second, quote=first.quote),
        ),
    )


def flip_last_byte_of_quote(receipt):
    quote = bytearray(to_bytes(receipt.releases[0].quote))
    quote[500] ^= 1
    return in_release(0, quote=to_hex(bytes(quote)))(receipt)


def rename_plan(receipt):
    return msgspec.structs.replace(receipt, plan=msgspec.structs.replace(receipt.plan, title="Another question"))


def rename_release(receipt):
    release = msgspec.structs.replace(receipt.app_release, version="6.6.6")
    return msgspec.structs.replace(receipt, app_release=release)


def other_measurement(receipt):
    release = msgspec.structs.replace(receipt.app_release, measurements={"simulated-sgx": ("0x" + "66" * 32,)})
    return msgspec.structs.replace(receipt, app_release=release)


def sign_by_another_key(receipt):
    return msgspec.structs.replace(receipt, enclave_signature=sign_digest(b"\x77" * 32, b"\x01" * 32))


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        pytest.param(in_deal(poolPrice="39"), {"deal", "money"}, id="deal-price"),
        pytest.param(in_deal(requester="0x" + "99" * 20), {"deal"}, id="deal-requester"),
        pytest.param(in_deal(minGrants="1"), {"deal"}, id="deal-min-grants"),
        pytest.param(in_deal(teeKind="1"), {"deal", *ALL_RELEASES}, id="deal-tee-kind"),
        pytest.param(
            replace(deal_id="0x" + "99" * 32), {"deal", "chain", "money", *ALL_RELEASES}, id="id-of-another-deal"
        ),
        pytest.param(replace(chain_id=1), {"deal", "enclave signature", *ALL_RELEASES}, id="another-chain"),
        pytest.param(
            replace(market="0x" + "99" * 20), {"deal", "enclave signature", *ALL_RELEASES}, id="another-market"
        ),
        pytest.param(replace(simulated=False), {"deal"}, id="simulated-called-real"),
        pytest.param(replace(tee_kind="sgx"), {"deal"}, id="simulated-kind-called-sgx"),
        pytest.param(rename_plan, {"plan"}, id="another-plan"),
        pytest.param(rename_release, {"app release"}, id="another-app-release"),
        pytest.param(other_measurement, {"app release", *ALL_RELEASES}, id="another-measurement"),
        pytest.param(replace(collateral="{}"), ALL_RELEASES, id="no-collateral"),
        pytest.param(
            replace(enclave="0x" + "99" * 20), {"chain", "enclave signature", *ALL_RELEASES}, id="another-enclave"
        ),
        pytest.param(replace(encryption_public_key="0x" + "99" * 1216), ALL_RELEASES, id="another-encryption-key"),
        pytest.param(in_release(0, nonce="0x" + "99" * 32), {"key release 1"}, id="another-nonce"),
        pytest.param(in_release(1, quote="0x" + "99" * 500), {"key release 2"}, id="quote-that-is-none"),
        pytest.param(flip_last_byte_of_quote, {"key release 1"}, id="damaged-quote"),
        pytest.param(exchange_quotes, ALL_RELEASES, id="quotes-exchanged"),
        pytest.param(exchange_key_receipts, {"key release 1"}, id="key-receipt-of-another-broker"),
        pytest.param(in_release(0, key_receipt_signature="0x"), {"key release 1"}, id="no-key-receipt"),
        pytest.param(lambda r: replace(releases=r.releases[1:])(r), {"key release 1"}, id="release-record-missing"),
        pytest.param(lambda r: replace(releases=r.releases + r.releases[:1])(r), {"hospitals"}, id="record-doubled"),
        pytest.param(in_release(0, grant=7), {"hospitals", "key release 1"}, id="record-of-no-grant"),
        pytest.param(
            in_settlement(outcome="3", code="5"), {"chain", "enclave signature", "result"}, id="called-withheld"
        ),
        pytest.param(
            in_settlement(resultDigest="0x" + "99" * 32), {"chain", "enclave signature", "result"}, id="another-result"
        ),
        pytest.param(in_settlement(leftOut="1"), {"chain", "enclave signature", "hospitals"}, id="hospital-left-out"),
        pytest.param(in_settlement(deal="0x" + "99" * 32), {"chain", "enclave signature"}, id="settlement-of-another"),
        pytest.param(sign_by_another_key, {"enclave signature"}, id="signed-by-another-key"),
        pytest.param(replace(enclave_signature="0x"), {"enclave signature"}, id="not-signed"),
    ],
)
def test_tampered_receipt_fails_exactly_the_checks_that_it_concerns(run, tamper, expected):
    tampered = tamper(run.bundle.receipt)

    verification = verify(run, tampered)

    assert not verification.verified
    assert failed(verification) == expected
    assert all(check.reason for check in verification.checks)


def test_tampered_sealed_result_fails_the_result_check_only(run):
    sealed = to_bytes(run.bundle.sealed_result)

    verification = verify(run, sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))

    assert failed(verification) == {"result"}
    assert not verification.verified


@pytest.mark.parametrize("state", [DealState.OPEN, DealState.WITHHELD, DealState.FAILED, DealState.RECLAIMED])
def test_deal_that_ended_otherwise_on_chain_fails_the_chain_check(run, state):
    run.market.state = state

    assert failed(verify(run)) == {"chain"}


def test_deal_that_was_never_settled_has_no_time_to_judge_evidence_by(run):
    run.market.state, run.market.settled = DealState.RECLAIMED, None

    assert failed(verify(run)) == {"chain", *ALL_RELEASES}


def test_settlement_on_chain_by_another_enclave_fails_the_chain_check(run):
    run.market.settled = dataclasses.replace(run.market.settled, enclave="0x" + "99" * 20)

    assert failed(verify(run)) == {"chain"}


def test_payments_that_do_not_add_up_fail_the_money_check(run):
    run.market.paid.pop()

    assert failed(verify(run)) == {"money"}


def test_production_policy_does_not_believe_a_simulated_run(run):
    verification = verify(run, policy=PRODUCTION_POLICY)

    assert failed(verification) == ALL_RELEASES
    assert not verification.verified


def test_evidence_is_judged_by_the_time_of_its_settlement(run):
    run.access.connection.web3.eth.get_block = lambda _number: {"timestamp": 1_795_000_000 + 90 * 86400}

    assert failed(verify(run)) == ALL_RELEASES


def test_check_that_cannot_be_made_counts_as_not_passed(run):
    def unreachable(_deal_id):
        raise ChainError("the chain cannot be reached")

    run.market.payments = unreachable

    assert failed(verify(run)) == {"money"}


@pytest.mark.parametrize(
    "tamper",
    [
        in_settlement(outcome="9"),
        in_settlement(outcome="0"),
        in_settlement(leftOut="4"),
        in_settlement(code="256", outcome="4"),
        in_settlement(code="1"),
        in_settlement(more="1"),
        in_deal(poolPrice="-1"),
        replace(deal={}),
    ],
)
def test_malformed_receipt_is_a_document_error(run, tamper):
    with pytest.raises(DocumentError):
        verify(run, tamper(run.bundle.receipt))
