from __future__ import annotations

import hashlib
import hmac
import itertools
from typing import Any

import pytest

from heartify.cohort.encrypted.column_crypto import column_key, file_aad_prefix
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
    for part in (b"heartify.dataset/1", DATASET, NONCE, b"age"):
        info += len(part).to_bytes(4, "big") + part
    extracted = hmac.new(NONCE, MASTER, hashlib.sha256).digest()

    expected = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()

    assert key() == expected


def test_each_part_of_the_binding_changes_the_key() -> None:
    keys = {key(), key(master_key=b"x" * 32), key(dataset=b"x" * 32), key(version_nonce=b"x" * 32), key(column="agf")}

    assert len(keys) == 5


def test_each_part_of_the_binding_changes_the_aad_prefix() -> None:
    base: dict[str, Any] = {"dataset": DATASET, "version_nonce": NONCE, "column": "age", "part": 0}

    prefixes = {
        file_aad_prefix(**(base | change))
        for change in ({}, {"dataset": b"x" * 32}, {"version_nonce": b"x" * 32}, {"column": "b"}, {"part": 1})
    }

    assert len(prefixes) == 5


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


@pytest.mark.parametrize("part", [-1, 2**32])
def test_a_part_out_of_range_is_refused(part: int) -> None:
    with pytest.raises(IntegrityError, match="part-range"):
        file_aad_prefix(dataset=DATASET, version_nonce=NONCE, column="age", part=part)
