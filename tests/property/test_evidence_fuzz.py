"""Mutated evidence is refused by AttestationError and by nothing else: no crash, no acceptance as another statement."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.attestation.isolation import Isolation
from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedLaunch, SimulatedPlatform
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind

NOW = 1_795_000_000
REPORT_DATA = b"\x06" * 64
PLATFORM = SimulatedPlatform.create(NOW)
POLICY = unsafe_simulation_policy(PLATFORM.root_der)
# dcap-qvl finds the issuer of the PCK revocation list in the quote's own chain and ignores this copy of it.
UNUSED_MEMBER = "pck_crl_issuer_chain"


@dataclass(frozen=True)
class Good:
    """Evidence that is accepted, and what it was made of."""

    measurement: bytes
    evidence: Evidence

    @property
    def quote(self) -> bytes:
        return bytes.fromhex(self.evidence.quote_hex)

    def with_quote(self, quote: bytes) -> Evidence:
        return Evidence(self.evidence.tee_kind, quote.hex(), self.evidence.collateral)

    def with_collateral(self, collateral: str) -> Evidence:
        return Evidence(self.evidence.tee_kind, self.evidence.quote_hex, collateral)


def good(launch: SimulatedLaunch) -> Good:
    return Good(launch.measurement, PLATFORM.launch_evidence(launch, REPORT_DATA, NOW))


GOOD = {
    "sgx": good(SimulatedLaunch(TeeKind.SIMULATED_SGX, (b"\x05" * 32,), Isolation.NONE)),
    "tdx": good(SimulatedLaunch(TeeKind.SIMULATED_TDX, tuple(bytes([i]) * 48 for i in range(1, 5)), Isolation.NONE)),
}
MEMBERS = sorted(set(json.loads(GOOD["sgx"].evidence.collateral)) - {UNUSED_MEMBER})
KINDS = pytest.mark.parametrize("kind", sorted(GOOD))


def check(kind: str, evidence: Evidence):
    return verify(
        evidence,
        POLICY,
        NOW,
        expected_report_data=REPORT_DATA,
        reference_measurements=frozenset({GOOD[kind].measurement}),
    )


ACCEPTED = {kind: check(kind, case.evidence) for kind, case in GOOD.items()}


@KINDS
@given(data=st.data(), flip=st.integers(1, 255))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_quote_with_one_changed_byte_is_never_accepted_as_another_statement(kind, data, flip):
    quote = bytearray(GOOD[kind].quote)
    quote[data.draw(st.integers(0, len(quote) - 1))] ^= flip

    try:
        result = check(kind, GOOD[kind].with_quote(bytes(quote)))
    except AttestationError:
        return
    # PEM armour outside the base64 carries no meaning; whatever is accepted says exactly what the original said.
    assert result == ACCEPTED[kind]


@KINDS
@given(data=st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_no_bit_that_is_signed_can_be_flipped(kind, data):
    quote = bytearray(GOOD[kind].quote)
    signed = 48 + (384 if kind == "sgx" else 584)
    bit = data.draw(st.integers(0, 8 * signed - 1))
    quote[bit // 8] ^= 1 << bit % 8

    with pytest.raises(AttestationError):
        check(kind, GOOD[kind].with_quote(bytes(quote)))


@KINDS
@given(data=st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_quote_with_a_part_cut_out_or_doubled_is_never_accepted_as_another_statement(kind, data):
    quote = GOOD[kind].quote
    start = data.draw(st.integers(0, len(quote)))
    end = data.draw(st.integers(start, min(start + 64, len(quote))))
    changed = data.draw(st.sampled_from((quote[:start] + quote[end:], quote[:end] + quote[start:])))

    try:
        result = check(kind, GOOD[kind].with_quote(changed))
    except AttestationError:
        return
    assert result == ACCEPTED[kind]


@KINDS
@given(st.binary(max_size=1500))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_random_bytes_are_no_quote(kind, quote):
    with pytest.raises(AttestationError):
        check(kind, GOOD[kind].with_quote(quote))


@KINDS
@given(st.binary(max_size=1500))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_random_bytes_behind_a_good_header_are_no_quote(kind, tail):
    with pytest.raises(AttestationError):
        check(kind, GOOD[kind].with_quote(GOOD[kind].quote[:48] + tail))


@KINDS
@given(st.sampled_from(MEMBERS), st.text(max_size=200))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_collateral_with_a_replaced_member_is_refused(kind, member, text):
    collateral = json.dumps({**json.loads(GOOD[kind].evidence.collateral), member: text})

    with pytest.raises(AttestationError):
        check(kind, GOOD[kind].with_collateral(collateral))


@KINDS
@given(st.sampled_from(MEMBERS), st.data())
@settings(max_examples=300, derandomize=True, deadline=None)
def test_collateral_with_one_changed_character_never_changes_the_result(kind, member, data):
    collateral = json.loads(GOOD[kind].evidence.collateral)
    value = collateral[member]
    offset = data.draw(st.integers(0, len(value) - 1))
    collateral[member] = value[:offset] + data.draw(st.sampled_from('0aZ{}"[]:,\n ')) + value[offset + 1 :]

    try:
        result = check(kind, GOOD[kind].with_collateral(json.dumps(collateral)))
    except AttestationError:
        return
    assert result == ACCEPTED[kind]


@KINDS
@given(st.sampled_from([name for name in MEMBERS if name.endswith("_crl")]), st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_no_bit_of_a_revocation_list_can_be_flipped(kind, member, data):
    collateral = json.loads(GOOD[kind].evidence.collateral)
    der = bytearray.fromhex(collateral[member])
    bit = data.draw(st.integers(0, 8 * len(der) - 1))
    der[bit // 8] ^= 1 << bit % 8
    collateral[member] = bytes(der).hex()

    with pytest.raises(AttestationError):
        check(kind, GOOD[kind].with_collateral(json.dumps(collateral)))


@KINDS
@pytest.mark.parametrize("member", [name for name in MEMBERS if name.endswith("_crl")])
def test_no_bit_at_the_head_of_a_revocation_list_is_a_failure_inside(kind, member):
    """Lengths, version and algorithm stand there: what the library raises for them isn't always a ValueError."""
    collateral = json.loads(GOOD[kind].evidence.collateral)
    original = bytes.fromhex(collateral[member])
    for bit in range(8 * 40):
        der = bytearray(original)
        der[bit // 8] ^= 1 << bit % 8
        collateral[member] = bytes(der).hex()

        with pytest.raises(AttestationError):
            check(kind, GOOD[kind].with_collateral(json.dumps(collateral)))
