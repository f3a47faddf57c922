"""Settlements: what an enclave may say, and how it reads in words."""

from __future__ import annotations

import pytest

from heartify.errors import DocumentError
from heartify.protocol.eip712 import bytes32, uint256
from heartify.protocol.outcomes import DealState, FailureCode, Outcome
from heartify.protocol.receipts import Settlement, failure_label


def settlement(outcome: int = 2, code: int = 0, left_out: int = 0) -> Settlement:
    return Settlement(
        deal=bytes32("0x" + "ab" * 32),
        outcome=uint256(outcome),
        code=uint256(code),
        leftOut=uint256(left_out),
        resultDigest=bytes32("0x" + "00" * 32),
    )


@pytest.mark.parametrize(
    ("given", "grants"),
    [
        (settlement(), 1),
        (settlement(left_out=0b1011), 4),
        (settlement(3, 1), 1),
        (settlement(4, 255), 64),
        (settlement(left_out=2**64 - 1), 64),
    ],
)
def test_possible_settlements_pass(given, grants):
    given.check(grants)


@pytest.mark.parametrize("outcome", [0, 1, 5, 6, 2**255])
def test_unknown_outcome_is_refused(outcome):
    with pytest.raises(DocumentError, match="unknown outcome"):
        settlement(outcome, 1).check(1)


@pytest.mark.parametrize(("left_out", "grants"), [(0b10, 1), (2**64, 64), (2**255, 64)])
def test_leaving_out_a_grant_that_is_not_there_is_refused(left_out, grants):
    with pytest.raises(DocumentError, match="leaves out a grant"):
        settlement(left_out=left_out).check(grants)


@pytest.mark.parametrize(("outcome", "code"), [(2, 1), (3, 0), (4, 0), (3, 256), (4, 2**255)])
def test_code_that_does_not_go_with_the_outcome_is_refused(outcome, code):
    with pytest.raises(DocumentError, match="code"):
        settlement(outcome, code).check(1)


def test_bits_of_left_out_are_grants_in_the_deals_order():
    assert [settlement(left_out=0b101).is_left_out(index) for index in range(4)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (settlement(), "delivered"),
        (settlement(3, 4), "withheld: disclosure code 4"),
        (settlement(4, FailureCode.KEYS_UNAVAILABLE), "failed: keys-unavailable"),
        (settlement(4, 200), "failed: code 200"),
    ],
)
def test_reason_in_words(given, words):
    assert given.reason() == words


def test_failure_labels_are_unique_and_unknown_codes_keep_their_number():
    labels = [failure_label(code) for code in FailureCode]

    assert len(set(labels)) == len(FailureCode)
    assert failure_label(99) == "code 99"


def test_outcomes_are_the_final_states_that_an_enclave_can_sign():
    assert {int(outcome) for outcome in Outcome} == {2, 3, 4}
    assert [DealState(outcome).name for outcome in Outcome] == [outcome.name for outcome in Outcome]


@pytest.mark.parametrize("code", list(FailureCode))
def test_the_pool_is_paid_below_64_only(code):
    assert code.pool_is_paid == (code < 64)
    assert 1 <= code <= 255
