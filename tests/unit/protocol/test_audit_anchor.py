"""The signed audit anchor: by the broker it names, for the registry it names, over one head."""

from __future__ import annotations

import msgspec
import pytest

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.audit_anchor import AuditAnchor, SignedAuditAnchor, sign_audit_anchor
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.eip712 import Domain, address, bytes32, uint256
from heartify.protocol.signing import address_of, sign_digest

KEY = b"\x21" * 32
DOMAIN = Domain(31337, "0x" + "ab" * 20)


@pytest.fixture
def signed() -> SignedAuditAnchor:
    anchor = AuditAnchor(broker=address(address_of(KEY)), sequence=uint256(7), head=bytes32("0x" + "1a" * 32))
    return sign_audit_anchor(anchor, DOMAIN, lambda digest: sign_digest(KEY, digest))


def test_a_signed_anchor_verifies_and_survives_its_encoding(signed):
    read = parse_canonical(encode_canonical(signed), SignedAuditAnchor)

    read.verify()
    assert read == signed
    assert (read.anchor.sequence, read.domain) == (7, DOMAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"broker": "0x" + "99" * 20},
        {"sequence": 8},
        {"head": "0x" + "1b" * 32},
        {"chain_id": 1},
        {"registry": "0x" + "ac" * 20},
        {"signature": "0x"},
        {"signature": "0x" + "00" * 65},
    ],
)
def test_an_anchor_with_anything_changed_does_not_verify(signed, change):
    with pytest.raises(IntegrityError):
        msgspec.structs.replace(signed, **change).verify()


@pytest.mark.parametrize(
    "edit",
    [
        (b'"sequence":7', b'"sequence":0'),
        (b'"sequence":7', b'"sequence":"7"'),
        (b'"sequence":7', b'"sequence":9007199254740993'),
        (b'"chain_id":31337', b'"chain_id":0'),
        (b"audit-anchor/1", b"audit-anchor/2"),
        (b'{"broker"', b'{"a":1,"broker"'),
    ],
)
def test_a_malformed_anchor_is_refused(signed, edit):
    data = encode_canonical(signed)
    assert data.count(edit[0]) == 1

    with pytest.raises(DocumentError):
        parse_canonical(data.replace(*edit), SignedAuditAnchor)
