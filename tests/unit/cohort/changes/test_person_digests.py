"""Patient ids: one patient, one digest, in whatever spelling; and no digest without the key."""

from __future__ import annotations

import pyarrow as pa
import pytest

from heartify.cohort.changes.keys import derive_ledger_key, derive_opt_out_key
from heartify.cohort.changes.person_digests import digest_texts, join_ids, normalise_ids


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("P12", "p12"),
        ("  P12\t", "p12"),
        ("00123", "123"),
        ("123.0", "123"),
        ("00123.00", "123"),
        ("0", "0"),
        ("000", "0"),
        ("12.5", "12.5"),
        ("P012", "p012"),
        ("１２３", "123"),  # full-width digits
        ("Å1", "å1"),  # decomposed to composed
    ],
)
def test_spellings_of_one_id_become_one(spelling, normal):
    assert normalise_ids(pa.array([spelling])).to_pylist() == [normal]


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_id_is_a_missing_one(empty):
    assert normalise_ids(pa.array([empty], pa.string())).to_pylist() == [None]


def test_ids_of_several_columns_are_kept_apart():
    left, right = pa.array(["a", "ab", None, "x"]), pa.array(["bc", "c", "x", None])

    assert len(set(join_ids([left, right]).to_pylist())) == 4


def test_digests_depend_on_text_key_and_purpose():
    texts = pa.array(["p1", "p2"])

    first, second = digest_texts(texts, b"k" * 32, size=8, purpose=b"one")

    assert first != second
    assert digest_texts(texts, b"k" * 32, size=8, purpose=b"one") == [first, second]
    assert first not in digest_texts(texts, b"l" * 32, size=8, purpose=b"one")
    assert first not in digest_texts(texts, b"k" * 32, size=8, purpose=b"two")


def test_keys_differ_by_seed_dataset_and_use():
    one, other = "0x" + "11" * 32, "0x" + "22" * 32

    keys = {
        derive_ledger_key(bytes(32), one),
        derive_ledger_key(bytes(32), other),
        derive_ledger_key(b"\1" * 32, one),
        derive_opt_out_key(bytes(32)),
        derive_opt_out_key(b"\1" * 32),
    }

    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}
