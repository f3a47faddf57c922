"""Signed orders: whose they are, and which documents are none."""

from __future__ import annotations

import pytest

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, bytes32, uint256
from heartify.protocol.orders import AppOffer, Signed, fresh_nonce, parse_signed, sign_order
from heartify.protocol.signing import address_of

KEY, OTHER_KEY = b"\x01" * 32, b"\x02" * 32
DOMAIN = Domain(31337, "0x" + "cd" * 20)
OFFER = AppOffer(
    appRelease=bytes32("0x" + "ab" * 32),
    price=uint256(10**18),
    withheldBps=uint256(0),
    uses=uint256(1),
    requester=ZERO_ADDRESS,
    expiry=uint256(1_800_000_000),
    nonce=uint256(1),
)


def document(**changes: object) -> dict[str, object]:
    signed = sign_order(OFFER, DOMAIN, KEY)
    return {"order": signed.order.to_json(), "signature": signed.signature, **changes}


def test_parsed_order_verifies_for_its_maker():
    parse_signed(AppOffer, document()).verify(DOMAIN, address_of(KEY))


def test_order_of_another_maker_is_refused():
    with pytest.raises(IntegrityError, match=f"AppOffer is signed by {address_of(KEY)}"):
        parse_signed(AppOffer, document()).verify(DOMAIN, address_of(OTHER_KEY))


def test_order_for_another_market_is_refused():
    with pytest.raises(IntegrityError, match="AppOffer is signed by"):
        sign_order(OFFER, DOMAIN, KEY).verify(Domain(31337, "0x" + "ce" * 20), address_of(KEY))


def test_order_with_another_price_is_refused():
    cheaper = {**OFFER.to_json(), "price": "1"}

    with pytest.raises(IntegrityError, match="AppOffer is signed by"):
        parse_signed(AppOffer, document(order=cheaper)).verify(DOMAIN, address_of(KEY))


@pytest.mark.parametrize("wrong", [None, [], "x", {}, {"order": OFFER.to_json()}, document(note=1)])
def test_document_with_other_fields_is_no_signed_order(wrong):
    with pytest.raises(DocumentError, match="exactly the fields order, signature"):
        parse_signed(AppOffer, wrong)


@pytest.mark.parametrize("signature", [None, 7, "", "xx", "0xABCD", "0x123", "0x12\n", "1234"])
def test_signature_that_is_no_lower_case_hex_is_refused(signature):
    with pytest.raises(DocumentError, match="no lower-case hex"):
        parse_signed(AppOffer, document(signature=signature))


def test_order_of_another_kind_is_refused():
    with pytest.raises(DocumentError, match="AppOffer must be an object with exactly the fields"):
        parse_signed(AppOffer, document(order={"pool": ZERO_ADDRESS}))


def test_longer_signature_of_a_contract_wallet_parses_and_is_no_accounts_signature():
    signed = parse_signed(AppOffer, document(signature="0x" + "00" * 130))

    with pytest.raises(IntegrityError, match="65 bytes"):
        signed.verify(DOMAIN, address_of(KEY))


def test_fresh_nonces_have_160_bits_and_differ():
    nonces = {fresh_nonce() for _ in range(100)}

    assert len(nonces) == 100
    assert max(nonces) < 2**160
    assert max(nonces) > 2**150


def test_signed_is_immutable():
    with pytest.raises(AttributeError):
        Signed(OFFER, "0x").signature = "0x00"  # type: ignore[misc]
