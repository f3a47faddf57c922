from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    RankDeficientError,
    SeparationError,
    StatsError,
    fit_pooled_logistic,
    pooled_sd,
)
from heartify.stats.streaming import ArrayRows, StreamedLogisticFit, fit_streamed_logistic

SHARED = Path(__file__).resolve().parents[4] / ".." / "shared"
TERMS = ("pressure", "cholesterol", "smoker", "age")
WEIGHTS = np.array([0.018, 0.28, 0.65, 0.055])


def make_blocks(seed: int, rows: int, hospitals: int = 2) -> list[CohortBlock]:
    rng = np.random.default_rng(seed)
    blocks = []
    for h in range(hospitals):
        X = np.column_stack(
            [
                np.round(rng.normal(130 + 4 * h, 18, rows)),
                rng.normal(5.4, 1.1, rows),
                rng.random(rows) < 0.25,
                np.round(rng.normal(55 + 2 * h, 10, rows)),
            ]
        )
        eta = (X - [130, 5.4, 0.25, 55]) @ WEIGHTS - 1.2 + 0.3 * h
        blocks.append(CohortBlock(f"h{h}", X, rng.random(rows) < 1 / (1 + np.exp(-eta))))
    return blocks


def stream(blocks: list[CohortBlock], chunk_rows: int = 4096, **options: Any) -> StreamedLogisticFit:
    terms = options.pop("terms", TERMS[: blocks[0].X.shape[1]])
    return fit_streamed_logistic([ArrayRows(block, chunk_rows) for block in blocks], terms, **options)


def worst(fit: StreamedLogisticFit, reference: Any) -> float:
    """The largest difference of a coefficient, in standard errors."""
    return float(np.abs((fit.coef - reference.coef) / reference.se).max())


@pytest.fixture(scope="module")
def large() -> list[CohortBlock]:
    """Larger than any sample, so that the start, the passes and the stopping rule are those of a long stream."""
    return make_blocks(1, 150_000)


@pytest.fixture(scope="module")
def large_reference(large: list[CohortBlock]) -> Any:
    return fit_pooled_logistic(large, TERMS)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-3)])
def test_a_streamed_fit_is_the_fit_of_the_same_rows_in_memory(
    precision: Any, tolerance: float, large: list[CohortBlock], large_reference: Any
) -> None:
    fit = stream(large, precision=precision)

    assert worst(fit, large_reference) < tolerance
    np.testing.assert_allclose(fit.se, large_reference.se, rtol=1e-3)
    assert fit.names == large_reference.names
    assert (fit.n, fit.events) == (large_reference.n, large_reference.events)
    assert fit.n_by_block == large_reference.n_by_block
    assert fit.events_by_block == large_reference.events_by_block
    assert fit.null_loglik == large_reference.null_loglik
    assert fit.iterations <= 3
    np.testing.assert_allclose(fit.sd, pooled_sd(large), rtol=1e-12 if precision == "float64" else 1e-6)


def test_the_log_likelihood_is_that_of_the_maximum(large: list[CohortBlock], large_reference: Any) -> None:
    fit = stream(large)

    assert fit.loglik == pytest.approx(large_reference.loglik, abs=1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_number_of_threads_changes_no_bit(precision: Any, large: list[CohortBlock]) -> None:
    fits = [stream(large, precision=precision, threads=threads) for threads in (1, 2, 5)]

    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.coef, fits[0].coef)
        np.testing.assert_array_equal(fit.covariance, fits[0].covariance)
        assert fit.loglik == fits[0].loglik


@pytest.mark.parametrize("chunk_rows", [1_000, 7_919, 65_536, 1_000_000])
def test_the_size_of_chunks_does_not_matter(chunk_rows: int, large: list[CohortBlock], large_reference: Any) -> None:
    fit = stream(large, chunk_rows)

    assert worst(fit, large_reference) < 1e-6


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(150, 900), chunk_rows=st.integers(1, 400))
def test_small_cohorts_in_any_chunks_agree_with_the_fit_in_memory(seed: int, rows: int, chunk_rows: int) -> None:
    blocks = make_blocks(seed, rows, hospitals=3)
    reference = fit_pooled_logistic(blocks, TERMS)

    for precision in ("float64", "float32"):
        fit = stream(blocks, chunk_rows, precision=precision)
        assert worst(fit, reference) < (1e-6 if precision == "float64" else 1e-3)


def test_row_order_does_not_matter(large: list[CohortBlock], large_reference: Any) -> None:
    # Sorted by outcome and a factor: the worst order for a sample of the first rows.
    ordered = []
    for block in large:
        order = np.lexsort((block.X[:, 0], block.y))
        ordered.append(CohortBlock(block.name, block.X[order], block.y[order]))

    fit = stream(ordered)

    assert worst(fit, large_reference) < 1e-6


def test_a_factor_in_another_unit_has_the_same_effect(large: list[CohortBlock], large_reference: Any) -> None:
    factor = np.array([1e-7, 1.0, 1e6, 1e9])
    scaled = [CohortBlock(block.name, block.X * factor + [0, 0, 0, 1e10], block.y) for block in large]

    for precision, tolerance in (("float64", 1e-6), ("float32", 1e-3)):
        fit = stream(scaled, precision=precision)
        difference = (fit.term_coef * factor - large_reference.term_coef) / large_reference.term_se
        assert np.abs(difference).max() < tolerance


class PartsRows:
    """Two sources of one hospital, merged: the chunks of the first, then those of the second."""

    def __init__(self, first: ArrayRows, second: ArrayRows) -> None:
        self.name, self.chunks = first.name, first.chunks + second.chunks
        self._first, self._second = first, second

    def load(self, index: int) -> Any:
        return self._first.load(index) if index < self._first.chunks else self._second.load(index - self._first.chunks)


def test_a_hospital_in_two_parts_is_the_hospital(large: list[CohortBlock], large_reference: Any) -> None:
    block, cut = large[0], 41_111
    parts = [CohortBlock(block.name, block.X[rows], block.y[rows]) for rows in (slice(cut), slice(cut, None))]

    fit = fit_streamed_logistic(
        [PartsRows(ArrayRows(parts[0], 5_000), ArrayRows(parts[1], 8_000)), ArrayRows(large[1])], TERMS
    )

    assert worst(fit, large_reference) < 1e-6


def test_chunks_without_rows_change_nothing(large: list[CohortBlock], large_reference: Any) -> None:
    class WithEmpty(ArrayRows):
        @property
        def chunks(self) -> int:
            return 2 * super().chunks

        def load(self, index: int) -> Any:
            if index % 2:
                return super().load(index // 2)
            return [np.zeros(0)] * 4, np.zeros(0)

    fit = fit_streamed_logistic([WithEmpty(block, 10_000) for block in large], TERMS)

    assert worst(fit, large_reference) < 1e-6


def test_a_hospital_that_no_sample_reaches_is_fitted_all_the_same() -> None:
    blocks = make_blocks(3, 2_000, hospitals=2)

    class LateRows(ArrayRows):
        """Rows in one chunk of many, beside the chunks that a sample looks at."""

        chunks = 1001  # type: ignore[assignment]

        def load(self, index: int) -> Any:
            return super().load(0) if index == 77 else ([np.zeros(0)] * 4, np.zeros(0))

    fit = fit_streamed_logistic([ArrayRows(blocks[0], 100), LateRows(blocks[1])], TERMS)

    assert worst(fit, fit_pooled_logistic(blocks, TERMS)) < 1e-6


def test_a_rare_factor_that_no_sample_holds_is_fitted_all_the_same(large: list[CohortBlock]) -> None:
    rng = np.random.default_rng(5)
    blocks = []
    for block in large:
        rare = np.zeros(block.n)
        rare[rng.choice(np.flatnonzero(np.arange(block.n) % 4096 % 7 == 3), 40, replace=False)] = 1.0
        blocks.append(CohortBlock(block.name, np.column_stack([block.X, rare]), block.y))
    terms = (*TERMS, "rare")
    reference = fit_pooled_logistic(blocks, terms)

    for precision, tolerance in (("float64", 1e-6), ("float32", 1e-3)):
        assert worst(stream(blocks, precision=precision, terms=terms), reference) < tolerance


def test_columns_of_any_real_type_are_taken_as_they_are_stored() -> None:
    blocks = make_blocks(4, 50_000, hospitals=1)

    class StoredRows(ArrayRows):
        def load(self, index: int) -> Any:
            (pressure, cholesterol, smoker, age), y = super().load(index)
            return (pressure.astype(np.int64), cholesterol, smoker.astype(np.bool_), age.astype(np.int32)), y.astype(
                np.int32
            )

    fit = fit_streamed_logistic([StoredRows(blocks[0])], TERMS)

    np.testing.assert_array_equal(fit.coef, stream(blocks, 65_536).coef)


def test_estimates_are_unbiased_and_their_intervals_cover() -> None:
    z = []
    for seed in range(40):
        fit = stream(make_blocks(1000 + seed, 3_000, hospitals=1), 500, precision="float32", threads=1)
        z.append((fit.term_coef - WEIGHTS) / fit.term_se)

    assert np.abs(np.mean(z, axis=0)).max() < 4 / np.sqrt(40)
    assert 0.87 <= np.mean(np.abs(z) < 1.96) <= 1.0


def with_column(blocks: list[CohortBlock], make: Any) -> list[CohortBlock]:
    return [CohortBlock(b.name, np.column_stack([b.X, make(b)]), b.y) for b in blocks]


@pytest.mark.parametrize("rows", [800, 30_000])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda b: np.full(b.n, 7.25), RankDeficientError),
        (lambda b: b.X[:, 0] + 2 * b.X[:, 1], RankDeficientError),
        (lambda b: np.full(b.n, float(b.name == "h0")), RankDeficientError),
        (lambda b: b.y * 3.0 + 1.0, SeparationError),
        (lambda b: np.where(b.y == 1, 1.0, np.arange(b.n) % 2), SeparationError),
    ],
)
def test_designs_without_an_estimate_are_refused(rows: int, precision: Any, make: Any, error: type[StatsError]) -> None:
    blocks = with_column(make_blocks(6, rows), make)

    with pytest.raises(error):
        stream(blocks, precision=precision, terms=(*TERMS, "more"))


@pytest.mark.parametrize("rows", [500, 30_000])
def test_a_hospital_without_events_separates(rows: int) -> None:
    first, second = make_blocks(7, rows)

    with pytest.raises(SeparationError):
        stream([first, CohortBlock("h1", second.X, np.zeros(second.n))])


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_an_outcome_that_does_not_vary_is_refused(outcome: float) -> None:
    blocks = [CohortBlock(b.name, b.X, np.full(b.n, outcome)) for b in make_blocks(8, 30_000)]

    with pytest.raises(DegenerateOutcomeError):
        stream(blocks)


class BrokenRows(ArrayRows):
    """A source that gives one impossible chunk, not one of the sample's."""

    def __init__(self, block: CohortBlock, broken: Any) -> None:
        super().__init__(block, 1_000)
        self._broken = broken

    def load(self, index: int) -> Any:
        chunk = super().load(index)
        return self._broken(*chunk) if index == 5 else chunk


def poison(columns: Any, y: Any, value: float) -> Any:
    first = columns[0].copy()
    first[17] = value
    return [first, *columns[1:]], y


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda columns, y: poison(columns, y, np.nan), "missing, infinite"),
        (lambda columns, y: poison(columns, y, np.inf), "missing, infinite"),
        (lambda columns, y: (columns, y + 1), "other than 0 and 1"),
        (lambda columns, y: (columns[:-1], y), "does not have 4 columns"),
        (lambda columns, y: (columns, y[:-1]), "does not have 4 columns"),
    ],
)
def test_an_impossible_chunk_is_refused(broken: Any, said: str) -> None:
    source = BrokenRows(make_blocks(9, 60_000, hospitals=1)[0], broken)

    with pytest.raises(InvalidBlockError, match=said):
        fit_streamed_logistic([source], TERMS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rows: fit_streamed_logistic([], TERMS), "at least one source"),
        (lambda rows: fit_streamed_logistic([rows, rows], TERMS), "same name"),
        (lambda rows: fit_streamed_logistic([rows], ("a", "a", "b", "c")), "twice"),
        (lambda rows: fit_streamed_logistic([rows], ("a", "b", "c", "(Intercept)")), "reserved"),
        (lambda rows: fit_streamed_logistic([rows], TERMS[:3]), "does not have 3 columns"),
        (lambda rows: fit_streamed_logistic([rows], TERMS, threads=0), "1 to 64 threads"),
        (lambda rows: fit_streamed_logistic([rows], TERMS, precision="float16"), "precision"),
        (lambda rows: ArrayRows(make_blocks(1, 10)[0], 0), "at least one row"),
    ],
)
def test_a_senseless_call_is_refused(call: Any, said: str) -> None:
    rows = ArrayRows(make_blocks(1, 300, hospitals=1)[0])

    with pytest.raises(InvalidBlockError, match=said):
        call(rows)


def test_a_model_without_terms_gives_the_log_odds() -> None:
    block = make_blocks(2, 400, hospitals=1)[0]
    empty = CohortBlock("h", np.zeros((400, 0)), block.y)

    fit = fit_streamed_logistic([ArrayRows(empty, 100)], ())

    assert fit.coef[0] == pytest.approx(np.log(block.events / (400 - block.events)), abs=1e-12)


@pytest.fixture(scope="module")
def cardio() -> dict[str, np.ndarray]:
    """All 70,000 rows of cardio_train with every blood pressure as it was typed in, up to 16,020."""
    path = SHARED / "data" / "cardio_train.csv"
    if not path.exists():
        pytest.skip("third-party data ../shared/data/cardio_train.csv are absent")
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    data = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    data |= {"age_y": data["age"] / 365.25, "male": (data["gender"] == 2).astype(float)}
    for name in ("chol", "gluc"):
        column = data["cholesterol" if name == "chol" else "gluc"]
        data |= {f"{name}{level}": (column == level).astype(float) for level in (2, 3)}
    return data


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-3)])
def test_uncleaned_blood_pressures_reach_the_true_maximum_where_r_does_not(
    precision: Any, tolerance: float, cardio: dict[str, np.ndarray]
) -> None:
    path = SHARED / "vectors" / "statistics" / "truth.json"
    if not path.exists():
        pytest.skip("reference vectors ../shared/vectors/statistics/truth.json are absent")
    expected = json.loads(path.read_text())["cardio70k"]["raw_hw"]
    terms = list(expected["coef"])[1:]
    block = CohortBlock("cardio", np.column_stack([cardio[term] for term in terms]), cardio["cardio"])

    fit = stream([block], 8_192, precision=precision, terms=terms)

    coef, se = (np.array([expected[key][name] for name in fit.names]) for key in ("coef", "se"))
    assert np.abs((fit.coef - coef) / se).max() < tolerance
    assert -2 * fit.loglik == pytest.approx(82842.926, abs=1e-3 if precision == "float64" else 1e-1)
    np.testing.assert_allclose(fit.se, se, rtol=1e-4 if precision == "float64" else 1e-3)
