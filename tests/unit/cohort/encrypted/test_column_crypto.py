from __future__ import annotations

import hashlib
import hmac
import itertools
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from heartify.cohort.encrypted.column_crypto import FileCipher, FilePlace, column_key
from heartify.errors import IntegrityError
from heartify.protocol.sealing import length_prefixed

MASTER, DATASET, NONCE = b"m" * 32, b"d" * 32, b"n" * 32


def key(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "master_key": MASTER,
        "dataset": DATASET,
        "version_nonce": NONCE,
        "column": "age",
    } | changes
    return column_key(fields.pop("master_key"), **fields)


def test_the_column_key_is_hkdf_written_out_from_rfc_5869() -> None:
    info = b""
    for part in (b"heartify.dataset/2", DATASET, NONCE, b"age"):
        info += len(part).to_bytes(4, "big") + part
    extracted = hmac.new(NONCE, MASTER, hashlib.sha256).digest()

    expected = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()

    assert key() == expected


def test_each_part_of_the_binding_changes_the_key() -> None:
    keys = {key(), key(master_key=b"x" * 32), key(dataset=b"x" * 32), key(version_nonce=b"x" * 32), key(column="agf")}

    assert len(keys) == 5


PLACE = FilePlace(DATASET, NONCE, "age", 3, b"codes 7 0 100 0")
SALT, KEY = b"s" * 32, b"k" * 32


def test_a_message_is_aes_gcm_written_out_from_the_specification() -> None:
    extracted = hmac.new(SALT, KEY, hashlib.sha256).digest()
    info = b"\0\0\0\x12heartify.dataset/2\0\0\0\x08file key"
    file_key = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
    fields = (b"heartify.dataset/2", DATASET, NONCE, b"age", b"\0\0\0\3", b"\0" * 7 + b"\5", b"\1", b"codes 7 0 100 0")
    aad = b"".join(len(field).to_bytes(4, "big") + field for field in fields)

    sealed = FileCipher(KEY, SALT, PLACE).seal(5, b"message", is_last=True)

    assert sealed == AESGCM(file_key).encrypt(b"\0" * 11 + b"\5", b"message", aad)


def test_a_message_opens_in_its_own_place_and_in_no_other() -> None:
    sealed = FileCipher(KEY, SALT, PLACE).seal(5, b"message", is_last=False)
    others = [
        replace(PLACE, dataset=b"x" * 32),
        replace(PLACE, version_nonce=b"x" * 32),
        replace(PLACE, column="agf"),
        replace(PLACE, part=2),
        replace(PLACE, form_tag=b"codes 7 1 100 0"),
    ]

    assert FileCipher(KEY, SALT, PLACE).open(5, sealed, is_last=False) == b"message"
    for cipher in [FileCipher(KEY, SALT, place) for place in others]:
        with pytest.raises(IntegrityError, match="file-decryption"):
            cipher.open(5, sealed, is_last=False)
    for key, salt, number, is_last in (
        (b"x" * 32, SALT, 5, False),
        (KEY, b"x" * 32, 5, False),
        (KEY, SALT, 4, False),
        (KEY, SALT, 5, True),
    ):
        with pytest.raises(IntegrityError, match="file-decryption"):
            FileCipher(key, salt, PLACE).open(number, sealed, is_last=is_last)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 22, 24])
def test_a_message_of_another_length_is_refused(length: int) -> None:
    sealed = FileCipher(KEY, SALT, PLACE).seal(5, b"message", is_last=False) + b"more"

    with pytest.raises(IntegrityError, match="file-decryption"):
        FileCipher(KEY, SALT, PLACE).open(5, sealed[:length], is_last=False)


def test_fields_cannot_be_shifted_into_each_other() -> None:
    splits = [(b"ab", b"c"), (b"a", b"bc"), (b"abc", b""), (b"", b"abc"), (b"abc",)]

    assert all(length_prefixed(*a) != length_prefixed(*b) for a, b in itertools.combinations(splits, 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"master_key": b"m" * 16}, "master-key: expected 32 bytes, got 16"),
        ({"dataset": b""}, "dataset-id: expected 32"),
        ({"version_nonce": b"n" * 31}, "version-nonce: expected 32"),
    ],
)
def test_a_wrong_length_is_refused_without_showing_the_key(changes: dict[str, bytes], said: str) -> None:
    with pytest.raises(IntegrityError, match=said) as caught:
        key(**changes)

    assert "mmm" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"part": -1}, "part-range"),
        ({"part": 2**32}, "part-range"),
        ({"dataset": b""}, "dataset-id"),
        ({"version_nonce": b"n" * 33}, "version-nonce"),
    ],
)
def test_a_place_out_of_range_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        replace(PLACE, **changes)


def test_a_salt_or_key_of_another_length_is_refused() -> None:
    for key, salt, said in ((b"k" * 16, SALT, "column-key"), (KEY, b"s" * 31, "file-salt")):
        with pytest.raises(IntegrityError, match=said):
            FileCipher(key, salt, PLACE)


def test_no_key_stands_in_a_representation() -> None:
    shown = repr(FileCipher(KEY, SALT, PLACE))

    assert "kkk" not in shown
    assert KEY.hex() not in shown
