"""Catalogue documents of random small cohorts: rules kept, twins readable and of nobody, parsers total."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.cohort.catalogue.build_statistics import build_statistics
from heartify.cohort.catalogue.csvw_document import encode_csvw
from heartify.cohort.catalogue.csvw_reading import read_csvw
from heartify.cohort.catalogue.shown_counts import are_protected, show_cells
from heartify.cohort.catalogue.statistics import encode_statistics, load_statistics
from heartify.cohort.catalogue.twin.normal_scores import latent_correlations, normal_scores
from heartify.cohort.catalogue.twin.twin_model import estimate_model
from heartify.cohort.catalogue.twin_file import build_twin, parse_twin
from heartify.cohort.rows import TableRows
from heartify.cohort.survey import Survey, survey_rows
from heartify.cohort.table_form import table_schema
from heartify.errors import DisclosureError, InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.manifest import round_rows

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
LEVELS = tuple(Level(code=code, label=f"level {code}") for code in ("1", "b, c", 'd"e'))


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    datatype = draw(st.sampled_from(["number", "integer", "boolean", "category", "date"]))
    role = draw(st.sampled_from(["factor", "factor", "outcome", "time", "filter", "id"]))
    codes = draw(st.sampled_from([("",), ("", "-9"), ("NA",), ()]))
    more: dict[str, object] = {}
    if datatype in {"number", "integer"} and draw(st.booleans()):
        more = {"minimum": -20.0, "maximum": 30.0}
    if datatype == "number" and draw(st.booleans()):
        more["decimals"] = draw(st.integers(0, 3))
    if datatype == "category":
        more["levels"] = LEVELS
    return Column(name=name, title=name, datatype=datatype, role=role, missing_codes=codes, **more)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Survey, DataDictionary]:
    drawn = [draw(columns(f"c{i}")) for i in range(draw(st.integers(1, 5)))]
    drawn.append(Column(name="x", title="x", datatype="number", role="factor"))
    dictionary = DataDictionary(title="Random", description="", columns=tuple(drawn))
    rows = draw(st.sampled_from([1, 9, 30, 60, 150, 400]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    gaps = draw(st.sampled_from([0.0, 0.05, 0.6, 1.0]))
    arrays = [_values(column, rows, random, gaps) for column in drawn]
    table = pa.Table.from_arrays(arrays, schema=table_schema(dictionary))
    return survey_rows(TableRows(table, dictionary), random=random), dictionary


def _values(column: Column, rows: int, random: np.random.Generator, gaps: float) -> pa.Array:
    missing = random.random(rows) < (gaps if column.name != "x" else 0.0)
    spike = random.random(rows) < 0.3
    if column.role == "id":
        return pa.array([f"secret-{number}" for number in range(rows)], pa.string())
    if column.datatype == "boolean":
        return pa.array(spike, mask=missing)
    if column.datatype == "category":
        codes = pa.array(random.choice(3, rows, p=[0.7, 0.28, 0.02]).astype(np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.level_codes))
    numbers = np.clip(np.where(spike, 0.0, random.normal(5, 8, rows)), -20, 30)
    if column.datatype == "number":
        return pa.array(np.round(numbers, 3 if column.decimals is None else column.decimals), mask=missing)
    whole = pa.array(numbers.astype(np.int64), mask=missing)
    return whole if column.datatype == "integer" else whole.cast(pa.int32()).cast(pa.date32())


@SETTINGS
@given(cohorts())
def test_statistics_of_any_cohort_pass_their_gate(cohort: tuple[Survey, DataDictionary]) -> None:
    survey, dictionary = cohort

    statistics = build_statistics(survey, dictionary, dataset="0x" + "11" * 32)

    assert load_statistics(encode_statistics(statistics)) == statistics


@SETTINGS
@given(cohorts(), st.integers(0, 2**32))
def test_a_twin_of_any_cohort_is_readable_and_of_nobody(cohort: tuple[Survey, DataDictionary], seed: int) -> None:
    survey, dictionary = cohort
    try:
        data = build_twin(survey.sample, dictionary, rows=survey.rows, random=np.random.default_rng(seed))
    except InputError as exc:
        assert "no synthetic twin" in str(exc)  # noqa: PT017 - allowed, but only for this reason
        return

    twin = parse_twin(data, dictionary)

    assert b"secret" not in data
    assert twin.num_rows <= 5000
    names = [column.name for column in dictionary.published_columns]
    rows = [tuple(row[name] for name in names) for row in survey.sample.to_pylist()]
    rare = {row for row in rows if rows.count(row) < 10}
    assert not rare & {tuple(row[name] for name in names) for row in twin.to_pylist()}
    for column in dictionary.published_columns:
        values = twin.column(column.name).drop_null().to_pylist()
        if column.role == "time" and column.datatype in {"number", "integer"}:
            assert all(value > 0 for value in values)


@SETTINGS
@given(cohorts())
def test_a_model_is_unmoved_by_the_order_of_patients(cohort: tuple[Survey, DataDictionary]) -> None:
    survey, dictionary = cohort
    order = np.random.default_rng(1).permutation(survey.sample.num_rows)

    first, second = (
        estimate_model(table, dictionary, rows=survey.rows) for table in (survey.sample, survey.sample.take(order))
    )

    assert [column.missing_share for column in first.columns] == [column.missing_share for column in second.columns]
    for one, other in zip(first.columns, second.columns, strict=True):
        grid = np.linspace(0.01, 0.99, 50)
        assert np.array_equal(one.marginal.values_at(grid), other.marginal.values_at(grid))


@SETTINGS
@given(cohorts())
def test_any_dictionary_comes_back_from_csvw(cohort: tuple[Survey, DataDictionary]) -> None:
    _, dictionary = cohort

    assert read_csvw(encode_csvw(dictionary)) == dictionary


@SETTINGS
@given(st.lists(st.integers(0, 200), max_size=6), st.integers(0, 200), st.booleans())
def test_shown_cells_are_protected_and_true(levels: list[int], missing: int, all_or_none: bool) -> None:
    rows = sum(levels) + missing if levels else missing + 50
    shown = show_cells(rows, levels, missing, all_or_none=all_or_none)

    assert are_protected(round_rows(rows), shown)
    for count, exact in zip((*shown.levels, shown.missing), (*levels, missing), strict=True):
        assert count is None or (count % 5 == 0 and abs(count - exact) <= 2 and exact >= 10)


@SETTINGS
@given(st.binary(max_size=200))
def test_no_bytes_surprise_the_readers(data: bytes) -> None:
    dictionary = DataDictionary(
        title="x", description="", columns=(Column(name="x", title="x", datatype="number", role="factor"),)
    )
    for read in (load_statistics, read_csvw, lambda given: parse_twin(given, dictionary)):
        try:
            read(data)
        except (InputError, DisclosureError):
            continue
        raise AssertionError("random bytes were accepted")


@SETTINGS
@given(st.floats(-0.9, 0.9), st.integers(2, 6), st.integers(2, 400), st.integers(0, 2**32))
def test_a_latent_correlation_is_found_again_through_ties(rho: float, few: int, many: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    normal = random.standard_normal((40_000, 2)) @ np.array([[1.0, rho], [0.0, np.sqrt(1 - rho**2)]])
    cut = np.digitize(normal[:, 0], np.sort(random.uniform(-1.2, 1.2, few - 1))).astype(float)
    fine = np.digitize(normal[:, 1], np.linspace(-2, 2, many - 1)).astype(float)

    found = [scores for scores in (normal_scores(cut), normal_scores(fine)) if scores is not None]

    assert len(found) == 2
    covariances = np.cov(np.stack([scores.scores for scores in found]))
    latent = latent_correlations(covariances, np.stack([scores.coefficients for scores in found]))
    assert abs(latent[0, 1] - rho) < 0.06
