"""Typed structs: JSON and ABI forms, and what neither accepts. Hashes are held against eth-account by the vectors."""

from __future__ import annotations

import dataclasses

import pytest

from heartify.errors import DocumentError
from heartify.protocol.eip712 import Domain, TypedStruct, address, bytes32, encode_type, from_abi, from_json, uint256
from heartify.protocol.orders import GrantWanted, Request
from heartify.protocol.receipts import KeyReceipt

DIGEST, ACCOUNT = bytes32("0x" + "ab" * 32), address("0x" + "cd" * 20)
RECEIPT = KeyReceipt(deal=DIGEST, datasetVersion=DIGEST, enclave=ACCOUNT)
REQUEST = Request(
    requester=ACCOUNT,
    planDigest=DIGEST,
    grants=(GrantWanted(datasetVersion=DIGEST, maxPrice=uint256(2**256 - 1)),),
    appRelease=DIGEST,
    maxAppPrice=uint256(1),
    pool=ACCOUNT,
    sizeClass=uint256(1),
    maxPoolPrice=uint256(0),
    teeKinds=uint256(256),
    resultKeyDigest=DIGEST,
    minGrants=uint256(1),
    deadlineSeconds=uint256(60),
    expiry=uint256(10),
    nonce=uint256(7),
)


def test_json_form_writes_numbers_as_decimal_text():
    document = REQUEST.to_json()

    assert document["grants"] == [{"datasetVersion": DIGEST, "maxPrice": str(2**256 - 1)}]
    assert document["sizeClass"] == "1"
    assert from_json(Request, document) == REQUEST


def test_fault_in_an_inner_struct_names_the_inner_field():
    document = REQUEST.to_json()
    document["grants"][0]["maxPrice"] = "one"

    with pytest.raises(DocumentError, match=r"^GrantWanted\.maxPrice must be a whole number"):
        from_json(Request, document)


@pytest.mark.parametrize("grants", [{}, "x", None, 3])
def test_array_that_is_no_list_is_refused(grants):
    with pytest.raises(DocumentError, match=r"^Request\.grants must be a list"):
        from_json(Request, {**REQUEST.to_json(), "grants": grants})


def test_very_long_number_is_refused_before_it_is_converted():
    with pytest.raises(DocumentError, match="over 2"):
        from_json(Request, {**REQUEST.to_json(), "nonce": "9" * 1_000_000})


def test_abi_form_round_trips_as_sequence_and_as_mapping():
    values = REQUEST.to_abi()
    named = dict(zip([field.name for field in dataclasses.fields(Request)], values, strict=True))

    assert from_abi(Request, values) == REQUEST
    assert from_abi(Request, named) == REQUEST
    assert values[2] == [(b"\xab" * 32, 2**256 - 1)]


def test_abi_addresses_lose_their_checksum_case():
    values = (b"\xab" * 32, b"\xab" * 32, "0x52908400098527886E0F7030069857D2E4169EE7")

    assert from_abi(KeyReceipt, values).enclave == "0x52908400098527886e0f7030069857d2e4169ee7"


@pytest.mark.parametrize(
    "values",
    [
        (b"\xab" * 32, b"\xab" * 32),
        (b"\xab" * 32, b"\xab" * 32, ACCOUNT, 1),
        {"deal": b"\xab" * 32, "datasetVersion": b"\xab" * 32},
        {"deal": b"\xab" * 32, "datasetVersion": b"\xab" * 32, "account": ACCOUNT},
    ],
)
def test_abi_values_of_other_fields_are_refused(values):
    with pytest.raises(DocumentError, match="KeyReceipt has the 3 fields"):
        from_abi(KeyReceipt, values)


def test_struct_of_the_same_name_elsewhere_keeps_its_own_fields():
    encode_type(KeyReceipt)

    @dataclasses.dataclass(frozen=True, slots=True)
    class Other(TypedStruct):
        deal: bytes32

    Other.__name__ = Other.__qualname__ = KeyReceipt.__qualname__

    assert encode_type(Other) == "KeyReceipt(bytes32 deal)"
    assert encode_type(KeyReceipt) == "KeyReceipt(bytes32 deal,bytes32 datasetVersion,address enclave)"


@pytest.mark.parametrize("other", [Domain(2, ACCOUNT), Domain(1, "0x" + "ce" * 20)])
def test_digest_is_good_for_one_chain_and_one_market(other):
    assert RECEIPT.digest(Domain(1, ACCOUNT)) != RECEIPT.digest(other)
