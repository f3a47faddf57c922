"""Mutated evidence is refused by AttestationError and by nothing else: no crash, no acceptance."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence

NOW = 1_795_000_000
MEASUREMENT, REPORT_DATA = b"\x05" * 32, b"\x06" * 64
PLATFORM = SimulatedPlatform.create(NOW)
POLICY = unsafe_simulation_policy(PLATFORM.root_der)
GOOD = PLATFORM.evidence(MEASUREMENT, REPORT_DATA, NOW)
QUOTE = bytes.fromhex(GOOD.quote_hex)
# dcap-qvl finds the issuer of the PCK revocation list in the quote's own chain and ignores this copy of it.
UNUSED_MEMBER = "pck_crl_issuer_chain"
MEMBERS = sorted(set(json.loads(GOOD.collateral)) - {UNUSED_MEMBER})


def check(evidence: Evidence):
    return verify(
        evidence, POLICY, NOW, expected_report_data=REPORT_DATA, reference_measurements=frozenset({MEASUREMENT})
    )


@given(offset=st.integers(0, len(QUOTE) - 1), flip=st.integers(1, 255))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_quote_with_one_changed_byte_is_never_accepted_as_another_statement(offset, flip):
    quote = bytearray(QUOTE)
    quote[offset] ^= flip

    try:
        result = check(Evidence(GOOD.tee_kind, bytes(quote).hex(), GOOD.collateral))
    except AttestationError:
        return
    # PEM armour outside the base64 carries no meaning; whatever is accepted says exactly what the original said.
    assert result == check(GOOD)


@given(st.binary(max_size=600))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_random_bytes_are_no_quote(quote):
    with pytest.raises(AttestationError):
        check(Evidence(GOOD.tee_kind, quote.hex(), GOOD.collateral))


@given(st.sampled_from(MEMBERS), st.text(max_size=200))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_collateral_with_a_replaced_member_is_refused(member, text):
    collateral = json.dumps({**json.loads(GOOD.collateral), member: text})

    with pytest.raises(AttestationError):
        check(Evidence(GOOD.tee_kind, GOOD.quote_hex, collateral))


@given(st.sampled_from(MEMBERS), st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_collateral_with_one_changed_character_never_changes_the_result(member, data):
    collateral = json.loads(GOOD.collateral)
    value = collateral[member]
    offset = data.draw(st.integers(0, len(value) - 1))
    collateral[member] = value[:offset] + data.draw(st.sampled_from('0aZ{}"[]:,\n ')) + value[offset + 1 :]

    try:
        result = check(Evidence(GOOD.tee_kind, GOOD.quote_hex, json.dumps(collateral)))
    except AttestationError:
        return
    assert result == check(GOOD)
