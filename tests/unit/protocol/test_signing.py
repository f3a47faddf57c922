"""keccak-256 and secp256k1: known answers, one spelling of a signature, and no error but our own."""

from __future__ import annotations

import pytest

from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.signing import (
    address_of,
    generate_private_key,
    keccak256,
    recover_address,
    sign_digest,
    verify_signer,
)

HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
DIGEST = keccak256(b"a digest")
KEY = b"\x01" * 32


def test_keccak_is_ethereums_and_not_sha3():
    # the hash of empty input in the yellow paper, appendix "empty code hash"
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_address_of_the_private_key_one():
    # https://etherscan.io knows this account as that of the private key 1
    assert address_of((1).to_bytes(32, "big")) == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"


def test_signatures_are_deterministic_recoverable_and_low_s():
    for number in range(1, 40):
        key = number.to_bytes(32, "big")
        signature = sign_digest(key, DIGEST)

        assert signature == sign_digest(key, DIGEST)
        assert recover_address(DIGEST, signature) == address_of(key)
        assert int.from_bytes(to_bytes(signature)[32:64], "big") <= HALF_ORDER
        assert to_bytes(signature)[64] in (27, 28)


def test_fresh_private_keys_differ_and_sign():
    keys = {generate_private_key() for _ in range(20)}

    assert len(keys) == 20
    assert {len(key) for key in keys} == {32}
    assert all(recover_address(DIGEST, sign_digest(key, DIGEST)) == address_of(key) for key in keys)


@pytest.mark.parametrize("signature", ["", "none", "0x", "0xzz", "0x1", "0x" + "00" * 65])
def test_text_that_is_no_signature_is_refused(signature):
    with pytest.raises(IntegrityError):
        recover_address(DIGEST, signature)


def test_digest_of_another_length_is_refused():
    with pytest.raises(IntegrityError):
        recover_address(DIGEST[:31], sign_digest(KEY, DIGEST))


def test_wrong_signer_is_named_with_the_document():
    with pytest.raises(IntegrityError, match=f"^the letter is signed by {address_of(KEY)}, expected 0xcd"):
        verify_signer(DIGEST, sign_digest(KEY, DIGEST), "0x" + "cd" * 20, "the letter")


@pytest.mark.parametrize("v", [0, 1, 26, 29, 30, 255])
def test_v_is_27_or_28_and_nothing_else(v):
    signature = sign_digest(KEY, DIGEST)[:-2] + f"{v:02x}"

    with pytest.raises(IntegrityError, match="65 bytes ending in 27 or 28"):
        recover_address(DIGEST, signature)
