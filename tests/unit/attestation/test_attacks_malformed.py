"""Group 8: bytes too many, bytes too few, lengths that lie, and parsers' limits."""

from __future__ import annotations

import struct

import pytest

from heartify.attestation.dcap.sgx_quote import parse_sgx_report_body
from heartify.attestation.dcap.td_quote import parse_td_quote, parse_td_report_body
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence

LENGTH_FIELD = {"sgx": 48 + 384, "tdx": 48 + 584}


@pytest.mark.parametrize("tail", [b"junk", b"\0"])
def test_trailing_bytes_behind_an_sgx_quote_are_refused(case, tail):
    with pytest.raises(AttestationError, match="trailing"):
        case.verify(case.evidence(quote=case.quote("sgx") + tail))


@pytest.mark.parametrize("tail", [b"junk", bytes(69) + b"\x01", b"\x01" + bytes(69)])
def test_padding_behind_a_tdx_quote_must_be_zero(case, tail):
    assert case.verify(case.evidence(kind="tdx", quote=case.quote("tdx") + bytes(len(tail)))).simulated

    with pytest.raises(AttestationError, match="trailing"):
        case.verify(case.evidence(kind="tdx", quote=case.quote("tdx") + tail))


def test_padding_is_cut_by_length_so_a_chain_that_ends_in_zero_stays_whole(case):
    quote = with_longer_chain(case.quote("tdx"), "tdx", b"\0")

    kept, _ = parse_td_quote(quote + bytes(70))

    assert kept == quote
    assert case.verify(case.evidence(kind="tdx", quote=quote + bytes(70))).simulated


@pytest.mark.parametrize("length", [0, 7, 47, 435, 436, 500, 1000])
def test_truncated_quote_is_refused(case, kind, length):
    with pytest.raises(AttestationError, match="truncated"):
        case.verify(case.evidence(kind=kind, quote=case.quote(kind)[:length]))


@pytest.mark.parametrize("length", [2**32 - 1, 10**6])
def test_length_field_beyond_the_end_is_refused(case, kind, length):
    quote, at = case.quote(kind), LENGTH_FIELD[kind]

    with pytest.raises(AttestationError, match="truncated"):
        case.verify(case.evidence(kind=kind, quote=quote[:at] + struct.pack("<I", length) + quote[at + 4 :]))


@pytest.mark.parametrize("length", [0, 64, 128, 600])
def test_signature_section_that_is_too_short_is_refused(case, kind, length):
    quote, at = case.quote(kind), LENGTH_FIELD[kind]
    short = quote[:at] + struct.pack("<I", length) + quote[at + 4 : at + 4 + length]

    with pytest.raises(AttestationError, match=r"signature section|length field|certification|PCK certificate"):
        case.verify(case.evidence(kind=kind, quote=short))


def with_longer_chain(quote: bytes, kind: str, extra: bytes) -> bytes:
    """Append to the certificate chain and put every length field right; nothing of it is signed."""
    at = LENGTH_FIELD[kind]
    wrapped = quote[at + 4 :]
    if kind == "tdx":
        inner = longer_chain_of(wrapped[128 + 6 :], extra)
        wrapped = wrapped[:128] + struct.pack("<HI", 6, len(inner)) + inner
    else:
        wrapped = wrapped[:128] + longer_chain_of(wrapped[128:], extra)
    return quote[:at] + struct.pack("<I", len(wrapped)) + wrapped


def longer_chain_of(certification: bytes, extra: bytes) -> bytes:
    start = 448 + 2 + int.from_bytes(certification[448:450], "little")
    chain = certification[start + 6 :] + extra
    return certification[:start] + struct.pack("<HI", 5, len(chain)) + chain


def test_bytes_between_the_last_field_and_the_end_are_refused(case, kind):
    quote, at = case.quote(kind), LENGTH_FIELD[kind]
    length = int.from_bytes(quote[at : at + 4], "little")
    longer = quote[:at] + struct.pack("<I", length + 4) + quote[at + 4 :] + b"junk"

    with pytest.raises(AttestationError, match="length field"):
        case.verify(case.evidence(kind=kind, quote=longer))


def test_quote_with_too_many_certificates_is_refused(case, kind):
    quote = with_longer_chain(case.quote(kind), kind, b"-----BEGIN CERTIFICATE-----\n" * 2)

    with pytest.raises(AttestationError, match="more than 4 certificates"):
        case.verify(case.evidence(kind=kind, quote=quote))


@pytest.mark.parametrize("data_type", [1, 2, 3, 4, 6, 7])
def test_pck_certificate_named_in_any_other_way_is_refused(case, kind, data_type):
    quote, at = bytearray(case.quote(kind)), LENGTH_FIELD[kind]
    offset = at + 4 + 128 + (6 if kind == "tdx" else 0) + 448 + 2 + 32
    assert quote[offset] == 5
    quote[offset] = data_type

    with pytest.raises(AttestationError, match=f"by type {data_type}"):
        case.verify(case.evidence(kind=kind, quote=bytes(quote)))


def test_tdx_certification_of_another_type_is_refused(case):
    quote, offset = bytearray(case.quote("tdx")), LENGTH_FIELD["tdx"] + 4 + 128
    assert quote[offset] == 6
    quote[offset] = 5

    with pytest.raises(AttestationError, match="type 5, expected 6"):
        case.verify(case.evidence(kind="tdx", quote=bytes(quote)))


@pytest.mark.parametrize(("offset", "value"), [(0, 2), (0, 5), (2, 3), (4, 1)])
def test_other_version_key_or_tee_type_is_refused(case, kind, offset, value):
    quote = bytearray(case.quote(kind))
    quote[offset] = value

    with pytest.raises(AttestationError, match=r"quote of version [34] with ECDSA"):
        case.verify(case.evidence(kind=kind, quote=bytes(quote)))


@pytest.mark.parametrize(("kind", "claimed"), [("sgx", "simulated-tdx"), ("tdx", "simulated-sgx")])
def test_quote_of_one_format_under_the_name_of_the_other_is_refused(case, kind, claimed):
    with pytest.raises(AttestationError, match="quote of version"):
        case.verify(case.evidence(kind=kind, tee_kind=claimed))


@pytest.mark.parametrize("offset", [20, 31, 96, 160, 262, 303])
def test_reserved_bytes_of_an_enclave_report_in_use_are_refused(case, offset):
    body = bytearray(case.report().encode())
    body[offset] = 1

    with pytest.raises(AttestationError, match="reserved"):
        parse_sgx_report_body(bytes(body))


def test_report_of_another_length_is_refused():
    with pytest.raises(AttestationError, match="383 bytes"):
        parse_sgx_report_body(bytes(383))
    with pytest.raises(AttestationError, match="648 bytes"):
        parse_td_report_body(bytes(648))


def test_oversized_evidence_is_refused_before_it_is_parsed(case, kind):
    with pytest.raises(AttestationError, match="longer than 65536"):
        case.verify(Evidence(f"simulated-{kind}", "00" * 65537, "{}"))
    with pytest.raises(AttestationError, match="collateral is longer"):
        case.verify(Evidence(f"simulated-{kind}", "00", " " * 300_000))


@pytest.mark.parametrize("quote_hex", ["0", "zz", "AB", "0x00", "00 00"])
def test_quote_that_is_not_canonical_hex_is_refused(case, kind, quote_hex):
    with pytest.raises(AttestationError, match="hexadecimal"):
        case.verify(Evidence(f"simulated-{kind}", quote_hex, "{}"))


@pytest.mark.parametrize(
    ("collateral", "reason"),
    [
        ("{" + " " * 300_000 + "}", "longer than"),
        ("[" * 40 + "]" * 40, "nested deeper"),
        ("{}", "expected JSON"),
        ("[]", "expected JSON"),
        ("\x00", "expected JSON"),
    ],
)
def test_collateral_of_wrong_size_or_form_is_refused(case, kind, collateral, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(kind=kind, collateral=collateral))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"pck_certificate_chain": "x"}, "expected JSON"),
        ({"tcb_info": "[" * 40 + "]" * 40}, "nested deeper"),
        ({"tcb_info": "{}"}, "can't be decoded"),
        ({"qe_identity": "{}"}, "can't be decoded"),
        ({"qe_identity": '{"id":"QE","issueDate":"2026-01-01T00:00:00"}'}, "can't be decoded"),
        ({"pck_crl": "zz"}, "can't be decoded"),
        ({"pck_crl": "3000"}, "can't be decoded"),
        ({"tcb_info_issuer_chain": "-----BEGIN CERTIFICATE-----" * 5}, "more than 4 certificates"),
        ({"tcb_info_issuer_chain": "no certificate"}, "not PEM"),
    ],
)
def test_collateral_member_that_is_malformed_is_refused(case, members, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(collateral=case.collateral("sgx", **members)))


def test_brackets_inside_strings_are_not_nesting(case):
    collateral = case.collateral("sgx", pck_crl="[" * 40 + '\\"' + "{" * 40)

    with pytest.raises(AttestationError, match="can't be decoded"):
        case.verify(case.evidence(collateral=collateral))


@pytest.mark.parametrize("part", ["header", "body", "signature", "key", "qe report", "qe signature", "chain"])
def test_flipped_bit_is_refused(case, kind, part):
    quote, section = bytearray(case.quote(kind)), LENGTH_FIELD[kind] + 4
    qe = section + 128 + (6 if kind == "tdx" else 0)
    offset = {
        "header": 30,
        "body": 48 + 64,
        "signature": section,
        "key": section + 64,
        "qe report": qe + 64,
        "qe signature": qe + 384,
        "chain": qe + 448 + 2 + 32 + 6 + 100,
    }[part]
    quote[offset] ^= 1

    with pytest.raises(AttestationError):
        case.verify(case.evidence(kind=kind, quote=bytes(quote)))
