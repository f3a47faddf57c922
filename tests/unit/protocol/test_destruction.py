"""Destruction receipts: signed as EIP-712 says, verified against the account that an auditor expects."""

from __future__ import annotations

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.destruction import (
    DestructionMethod,
    DestructionReason,
    DestructionReceipt,
    parse_destruction,
    sign_destruction,
    verify_destruction,
)
from heartify.protocol.eip712 import Domain
from heartify.protocol.signing import address_of, sign_digest

PRIVATE_KEY = b"\x11" * 32
SIGNER = address_of(PRIVATE_KEY)
STRANGER = address_of(b"\x12" * 32)
UNSIGNED = DestructionReceipt(
    dataset="0x" + "21" * 32,
    dataset_version="0x" + "22" * 32,
    key_commitment="0x" + "23" * 32,
    destroyed_at=1_795_000_000,
    reason=DestructionReason.OPT_OUT,
    method=DestructionMethod.DATABASE_REWRITTEN,
    chain_id=31337,
    market="0x" + "ab" * 20,
    signer=SIGNER,
    signature="0x",
)


def sign(digest: bytes) -> str:
    return sign_digest(PRIVATE_KEY, digest)


@pytest.fixture
def receipt() -> DestructionReceipt:
    return sign_destruction(UNSIGNED, sign)


def test_a_signed_receipt_is_verified_and_survives_its_file(receipt):
    read = parse_destruction(encode_canonical(receipt))

    verify_destruction(read, SIGNER, version=UNSIGNED.dataset_version, domain=Domain(31337, "0x" + "ab" * 20))
    assert read == receipt


def test_an_independent_signer_makes_the_same_signature(receipt):
    names = ("dataset", "datasetVersion", "keyCommitment", "destroyedAt", "reason", "method")
    types = ["bytes32"] * 3 + ["uint256"] * 3
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "KeyDestruction": [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)],
        },
        "primaryType": "KeyDestruction",
        "domain": {
            "name": "Heartify",
            "version": "1",
            "chainId": 31337,
            "verifyingContract": "0x" + "ab" * 20,
        },
        "message": {
            "dataset": "0x" + "21" * 32,
            "datasetVersion": "0x" + "22" * 32,
            "keyCommitment": "0x" + "23" * 32,
            "destroyedAt": 1_795_000_000,
            "reason": 2,
            "method": 1,
        },
    }

    signed = Account.sign_message(encode_typed_data(full_message=typed), PRIVATE_KEY)

    assert receipt.signature == "0x" + bytes(signed.signature).hex()


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "0x" + "99" * 32},
        {"dataset_version": "0x" + "99" * 32},
        {"key_commitment": "0x" + "99" * 32},
        {"destroyed_at": 1_795_000_001},
        {"reason": DestructionReason.REPLACED},
        {"method": DestructionMethod.ROW_OVERWRITTEN},
        {"chain_id": 1},
        {"market": "0x" + "99" * 20},
        {"signature": "0x" + "99" * 65},
        {"signature": "0x"},
    ],
)
def test_a_receipt_that_was_changed_is_refused(receipt, change):
    changed = msgspec.structs.replace(receipt, **change)

    with pytest.raises(IntegrityError):
        verify_destruction(changed, SIGNER)


def test_a_receipt_of_somebody_else_is_refused(receipt):
    with pytest.raises(IntegrityError, match=f"expected {STRANGER}"):
        verify_destruction(receipt, STRANGER)


def test_a_receipt_that_only_names_the_expected_signer_is_refused(receipt):
    forged = sign_destruction(msgspec.structs.replace(UNSIGNED, signer=STRANGER), sign)

    with pytest.raises(IntegrityError, match="is signed by"):
        verify_destruction(forged, STRANGER)


def test_a_receipt_of_another_version_or_market_is_refused(receipt):
    with pytest.raises(IntegrityError, match="expected 0x99"):
        verify_destruction(receipt, SIGNER, version="0x" + "99" * 32)
    with pytest.raises(IntegrityError, match="another market"):
        verify_destruction(receipt, SIGNER, domain=Domain(1, "0x" + "ab" * 20))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "because"),
        ("method", "burnt"),
        ("destroyed_at", -1),
        ("destroyed_at", 1.5),
        ("format", "heartify.destruction-receipt/2"),
        ("dataset", "0x12"),
        ("note", "patient 12 asked"),
    ],
)
def test_a_malformed_receipt_is_refused(receipt, field, value):
    document = {**msgspec.to_builtins(receipt), field: value}

    with pytest.raises(DocumentError):
        parse_destruction(encode_canonical(document))


def test_the_numbers_that_are_signed_never_change():
    signed = {reason.value: number for number, reason in enumerate(DestructionReason, 1)}

    assert signed == {
        "unspecified": 1,
        "opt-out": 2,
        "data-fault": 3,
        "retention-ended": 4,
        "permission-ended": 5,
        "key-exposed": 6,
        "replaced": 7,
    }
