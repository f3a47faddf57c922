"""Content digests: equal for what is published alike, different for everything else."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.changes.content_digests import ContentDigester, declaration_digest
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, Level


def digests(table, dictionary, key):
    (batch,) = table.combine_chunks().to_batches()
    return ContentDigester(key, dictionary).digests(batch).tolist()


def one(make, key, row, dictionary=None):
    dictionary = dictionary or make.with_ids
    return digests(make.table([row], dictionary), dictionary, key)[0]


def test_rows_with_equal_values_have_equal_digests_whoever_the_patient_is(make, key):
    table = make.table([("a", 200.0, "f"), ("b", 200.0, "f"), ("c", 200.0, "m")], make.with_ids)

    first, second, third = digests(table, make.with_ids, key)

    assert first == second
    assert first != third


@pytest.mark.parametrize(
    ("row", "other"),
    [
        (("a", 200.0, "f"), ("a", 200.5, "f")),
        (("a", 0.0, "f"), ("a", None, "f")),
        (("a", 200.0, "f"), ("a", 200.0, None)),
        (("a", None, "f"), ("a", 200.0, None)),
    ],
)
def test_a_value_that_differs_or_is_missing_changes_the_digest(make, key, row, other):
    assert one(make, key, row) != one(make, key, other)


@pytest.mark.parametrize(("value", "same"), [(0.0, -0.0), (None, float("nan"))])
def test_two_writings_of_one_value_have_one_digest(make, key, value, same):
    assert one(make, key, ("a", value, "f")) == one(make, key, ("a", same, "f"))


@pytest.mark.parametrize("change", [{"decimals": 1}, {"precision": "single"}])
def test_what_publication_rounds_away_is_no_change(make, key, change):
    rounded = make.dictionary(make.id_column, msgspec.structs.replace(make.chol, **change), make.sex)

    digest = one(make, key, ("a", 200.1, "f"), rounded)

    assert one(make, key, ("a", 200.1 + 1e-9, "f"), rounded) == digest
    assert one(make, key, ("a", 200.2, "f"), rounded) != digest


def test_another_key_gives_other_digests(make, key):
    assert one(make, key, ("a", 200.0, "f")) != one(make, bytes(32), ("a", 200.0, "f"))


def test_the_order_of_columns_and_levels_makes_no_difference(make, key):
    turned = msgspec.structs.replace(make.sex, levels=tuple(reversed(make.sex.levels)))
    other = make.dictionary(turned, make.id_column, make.chol)
    table = make.table([("a", 200.0, "f")], other)

    assert digests(table, other, key) == [one(make, key, ("a", 200.0, "f"))]
    assert declaration_digest(other) == declaration_digest(make.with_ids)


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "mmol/L"},
        {"decimals": 0},
        {"precision": "single"},
        {"name": "cholesterol"},
    ],
)
def test_another_declaration_of_values_is_another_declaration(make, change):
    other = make.dictionary(make.id_column, msgspec.structs.replace(make.chol, **change), make.sex)

    assert declaration_digest(other) != declaration_digest(make.with_ids)


@pytest.mark.parametrize("change", [{"title": "Total cholesterol"}, {"description": "fasting"}, {"maximum": 600.0}])
def test_words_about_a_column_are_not_its_declaration(make, change):
    other = make.dictionary(make.id_column, msgspec.structs.replace(make.chol, **change), make.sex)

    assert declaration_digest(other) == declaration_digest(make.with_ids)


def test_a_level_that_means_something_else_is_another_declaration(make):
    levels = (Level(code="f", label="male"), Level(code="m", label="female"))
    other = make.dictionary(make.id_column, make.chol, msgspec.structs.replace(make.sex, levels=levels))

    assert declaration_digest(other) != declaration_digest(make.with_ids)


def test_every_one_of_many_columns_counts_and_so_does_its_being_missing(make, key):
    columns = tuple(Column(name=f"x{i}", title="x", datatype="integer", role="factor") for i in range(131))
    wide = make.dictionary(*columns)
    rows = np.zeros((1 + 2 * len(columns), len(columns)), np.int64)
    missing = np.zeros(rows.shape, np.bool_)
    for number in range(len(columns)):
        rows[1 + 2 * number, number] = 1
        missing[2 + 2 * number, number] = True
    arrays = [pa.array(rows[:, i], mask=missing[:, i]) for i in range(len(columns))]
    batch = pa.RecordBatch.from_arrays(arrays, schema=table_schema(wide))

    found = ContentDigester(key, wide).digests(batch)

    assert len(set(found.tolist())) == len(rows)


def test_all_datatypes_and_sliced_batches_have_digests(make, key):
    visit = Column(name="visit", title="Visit", datatype="date", role="time")
    smoker = Column(name="smoker", title="Smokes", datatype="boolean", role="factor")
    mixed = make.dictionary(visit, smoker, make.sex)
    sex = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int32()), ["f", "m"])
    arrays = [pa.array([1, None, 3, 1], pa.date32()), pa.array([True, False, None, True]), sex]
    batch = pa.RecordBatch.from_arrays(arrays, schema=table_schema(mixed))
    digester = ContentDigester(key, mixed)

    whole = digester.digests(batch).tolist()

    assert digester.digests(batch.slice(1, 2)).tolist() == whole[1:3]
    assert whole[0] == whole[3]
    assert len(set(whole)) == 3
