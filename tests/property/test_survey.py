"""Whatever a cohort holds: findings do not depend on the order of rows or batches, and never tell a value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.cohort.lint.findings import Finding
from heartify.cohort.rows import TableRows
from heartify.cohort.survey import Survey, survey_rows
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, DataDictionary, Level

BOUNDED = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
SEXES = (Level(code="f", label="female"), Level(code="m", label="male"))
REGIONS = tuple(Level(code=f"r{number}", label=f"region {number}") for number in range(4))


def numeric(name: str, unit: str, loinc: str | None = None, **fields: Any) -> Column:
    return Column(
        **({"name": name, "title": name, "datatype": "number", "role": "factor"} | fields), unit=unit, loinc=loinc
    )


DICTIONARY = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="patient", title="p", datatype="category", role="id"),
        numeric("age", "a"),
        Column(name="sex", title="s", datatype="category", role="factor", levels=SEXES),
        Column(name="region", title="r", datatype="category", role="factor", levels=REGIONS),
        numeric("sbp", "mm[Hg]", "8480-6", minimum=-1e9, maximum=1e9),
        numeric("dbp", "mm[Hg]", "8462-4"),
        numeric("glucose", "mg/dL", "2345-7"),
        numeric("height", "cm", "8302-2"),
        numeric("follow_up", "d", role="time"),
        numeric("number", "1", datatype="integer"),
        Column(name="visit", title="v", datatype="date", role="filter"),
        Column(name="cvd", title="c", datatype="boolean", role="outcome"),
    ),
)
SCHEMA = table_schema(DICTIONARY)


class CutRows(TableRows):
    """Rows that come in batches of the given sizes, round and round."""

    def __init__(self, table: pa.Table, sizes: list[int]) -> None:
        super().__init__(table, DICTIONARY)
        self._whole, self._sizes = table, sizes

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        done = start_row
        for number in range(self._whole.num_rows):
            size = self._sizes[number % len(self._sizes)]
            yield from self._whole.slice(done, size).to_batches()
            done += size


@st.composite
def cohorts(draw: st.DrawFn) -> pa.Table:
    """Ordinary patients, and in each column a chosen share of chosen faults."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 400))
    spoil = {
        "age": [0.0, 99.0, 700.0, 21000.0, 1950.0],
        "sbp": [0.0, 12.0, 16.1, 1200.0, -9.0, 9999.0, 14020.0, 60.0],
        "dbp": [0.0, 8.0, 10.7, 800.0, 140.0],
        "glucose": [5.5, 6.1, 0.0, 999.0],
        "height": [1.7, 17.0, 1700.0, 70.0],
        "follow_up": [0.0, -4.0],
        "number": [99.0, 10115.0, 19500103.0, 4915112345678.0],
    }
    numbers: dict[str, np.ndarray] = {
        "age": random.integers(30, 80, rows).astype(float),
        "sbp": random.normal(135, 15, rows).round(),
        "dbp": random.normal(80, 9, rows).round(),
        "glucose": random.normal(100, 15, rows).round(1),
        "height": random.normal(170, 9, rows).round(),
        "follow_up": random.integers(1, 3000, rows).astype(float),
        "number": random.integers(0, 60, rows).astype(float),
    }
    for name, values in numbers.items():
        share = draw(st.sampled_from([0.0, 0.0, 0.004, 0.02, 0.5, 1.0]))
        values[random.random(rows) < share] = draw(st.sampled_from(spoil[name]))
        values[random.random(rows) < draw(st.sampled_from([0.0, 0.1, 1.0]))] = np.nan
    twice = draw(st.booleans())
    ids = [f"p{number // 2 if twice else number}" for number in range(rows)]
    days = random.integers(-40_000, 30_000, rows)
    return build_table(numbers, ids, random.integers(0, 2, rows), random.integers(0, 4, rows), days, random)


def build_table(numbers: Mapping[str, Any], ids: Any, sex: Any, region: Any, days: Any, random: Any) -> pa.Table:
    columns = {
        "patient": pa.array(ids, pa.string()),
        **{
            name: pa.array(values, pa.float64(), from_pandas=True).cast(SCHEMA.field(name).type)
            for name, values in numbers.items()
        },
        "sex": pa.DictionaryArray.from_arrays(pa.array(sex, pa.int32()), ["f", "m"]),
        "region": pa.DictionaryArray.from_arrays(pa.array(region, pa.int32()), [level.code for level in REGIONS]),
        "visit": pa.array(days, pa.int32()).cast(pa.date32()),
        "cvd": pa.array(random.random(len(ids)) < 0.3),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names})


def survey(rows: TableRows, seed: int = 1) -> Survey:
    return survey_rows(rows, random=np.random.default_rng(seed), today=dt.date(2026, 11, 22))


def found(survey: Survey) -> tuple[Finding, ...]:
    return survey.findings


@BOUNDED
@given(table=cohorts(), sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_how_rows_are_cut_changes_nothing(table: pa.Table, sizes: list[int]) -> None:
    assert survey(CutRows(table, sizes)) == survey(TableRows(table, DICTIONARY))


@BOUNDED
@given(table=cohorts(), seed=st.integers(0, 2**32))
def test_the_order_of_rows_and_the_random_key_change_no_finding(table: pa.Table, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(table.num_rows)
    shuffled = pa.table({name: table[name].take(pa.array(order)) for name in table.column_names})

    one, other = survey(TableRows(table, DICTIONARY)), survey(TableRows(shuffled, DICTIONARY), seed)

    assert one.findings == other.findings
    assert one.columns == other.columns


@BOUNDED
@given(table=cohorts(), row=st.integers(0, 399), canary=st.sampled_from([73317.25, -73317.25, 733.17, 7331733.0]))
def test_no_finding_tells_a_value(table: pa.Table, row: int, canary: float) -> None:
    place = row % table.num_rows
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        values = table[name].to_pylist()
        if name == "patient":
            values[place] = "CANARY-73317"
        elif pa.types.is_floating(SCHEMA.field(name).type):
            values[place] = canary
        columns[name] = pa.array(values, SCHEMA.field(name).type) if name not in {"sex", "region"} else table[name]
    planted = survey(TableRows(pa.table(columns), DICTIONARY))

    shown = repr(planted)

    assert not any(text in shown for text in ("CANARY", f"{abs(canary):g}", str(abs(canary)), "73317", "733.17"))
    assert planted.findings  # a canary is impossible in several columns
