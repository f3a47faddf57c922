"""Key release messages: everything that is signed or bound changes what is signed or bound."""

from __future__ import annotations

import msgspec
import pytest

from heartify.errors import DocumentError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.eip712 import Domain
from heartify.protocol.key_release import Challenge, ColumnKeys, parse_column_keys, release_digest, release_info

DIGEST, ACCOUNT = "0x" + "ab" * 32, "0x" + "cd" * 20
DOMAIN = Domain(1, ACCOUNT)
CHALLENGE = Challenge(
    session="0a" * 16, deal=DIGEST, nonce="0x" + "11" * 32, broker=ACCOUNT, expires=100, signature="0x"
)
KEYS = ColumnKeys(dataset_version=DIGEST, keys={"age": "0x" + "01" * 32, "cp": "0x" + "02" * 32})
PARTS = {
    "deal": DIGEST,
    "version": "0x" + "ac" * 32,
    "broker": ACCOUNT,
    "nonce": "0x" + "11" * 32,
    "enclave": "0x" + "ce" * 20,
}


@pytest.mark.parametrize(
    "change",
    [{"session": "0b" * 16}, {"deal": "0x" + "ac" * 32}, {"nonce": "0x" + "12" * 32}, {"expires": 101}],
)
def test_each_field_of_a_challenge_is_signed(change):
    assert msgspec.structs.replace(CHALLENGE, **change).signed_digest(DOMAIN) != CHALLENGE.signed_digest(DOMAIN)


def test_a_challenge_is_for_one_market():
    assert CHALLENGE.signed_digest(Domain(2, ACCOUNT)) != CHALLENGE.signed_digest(DOMAIN)


@pytest.mark.parametrize(
    "change",
    [{"session": "0A" * 16}, {"session": "0a" * 16 + "\n"}, {"nonce": "0x11"}, {"expires": "100"}, {"more": 1}],
)
def test_malformed_challenge_is_refused(change):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(CHALLENGE), **change}, Challenge)


@pytest.mark.parametrize("part", PARTS)
def test_the_info_of_a_release_binds_every_part(part):
    other = {**PARTS, part: PARTS[part][:-2] + "ff"}

    assert release_info(DOMAIN, **other) != release_info(DOMAIN, **PARTS)


def test_the_info_of_a_release_binds_the_market():
    assert release_info(Domain(2, ACCOUNT), **PARTS) != release_info(DOMAIN, **PARTS)


def test_the_release_signature_covers_info_and_ciphertext_apart():
    digests = {release_digest(b"a", b"bc"), release_digest(b"ab", b"c"), release_digest(b"abc", b"")}

    assert len(digests) == 3


def test_column_keys_parse_to_32_bytes_each():
    assert parse_column_keys(encode_canonical(KEYS)) == {"age": b"\x01" * 32, "cp": b"\x02" * 32}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"01" * 32, b"01" * 31),
        (b"01" * 32, b"01" * 33),
        (b'"age"', b'"cp"'),
        (b"column-keys/1", b"column-keys/2"),
        (b'{"age"', b'{ "age"'),
        (b'"keys"', b'"more":0,"keys"'),
    ],
)
def test_malformed_column_keys_are_refused_without_showing_one(old, new):
    data = encode_canonical(KEYS)
    assert data.count(old) == 1

    with pytest.raises(DocumentError) as refused:
        parse_column_keys(data.replace(old, new))
    assert "0101" not in str(refused.value)


def test_repr_of_column_keys_shows_names_only():
    assert repr(KEYS) == "ColumnKeys(columns=['age', 'cp'])"
    assert str(KEYS) == repr(KEYS)
