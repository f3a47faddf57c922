from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.stable_hashes import RowHasher, hash_texts


def test_equal_rows_have_equal_hashes_and_missing_equals_missing() -> None:
    nan = float("nan")
    rows = pa.record_batch({"a": [1.0, 1.0, 0.0, -0.0, None, nan, 2.0], "b": [2.0, 2.0, 1.0, 1.0, None, None, 1.0]})

    hashes = RowHasher(["a", "b"]).hash_rows(BatchView(rows))

    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert hashes[4] == hashes[5]
    assert len(set(hashes.tolist())) == 4


def test_columns_in_another_order_are_another_row() -> None:
    rows = BatchView(pa.record_batch({"a": [1.0], "b": [2.0]}))

    assert RowHasher(["a", "b"]).hash_rows(rows) != RowHasher(["b", "a"]).hash_rows(rows)


def test_different_texts_have_different_hashes_and_equal_ones_equal() -> None:
    texts = [f"{prefix}{number}" for prefix, number in itertools.product(("", "p", "patient ", "ü"), range(20_000))]
    array = pa.array([*texts, *texts])

    hashes = hash_texts(array)

    assert len(np.unique(hashes)) == len(texts)
    assert np.array_equal(hashes[: len(texts)], hashes[len(texts) :])


def test_a_text_has_the_same_hash_wherever_it_stands() -> None:
    array = pa.array(["a", "bcd", "ef", "bcd", "\0", "\0\0"])

    whole, part = hash_texts(array), hash_texts(array[1:])

    assert np.array_equal(whole[1:], part)
    assert whole[1] == whole[3]
    assert whole[4] != whole[5]
    assert len(hash_texts(array[:0])) == 0


def test_ids_are_trimmed_and_blank_ones_left_out() -> None:
    view = BatchView(pa.record_batch({"id": pa.array([" p1", "p1\t", None, "", "  ", "p2"])}))

    assert view.ids("id").to_pylist() == ["p1", "p1", "p2"]
