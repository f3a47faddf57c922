from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from heartify.cohort.survey.row_sample import RowSample
from heartify.protocol.dictionary import Column, DataDictionary

DICTIONARY = DataDictionary(
    title="t", description="", columns=(Column(name="x", title="x", datatype="integer", role="factor"),)
)


def sampled(rows: int, batch_rows: int, seed: int, max_rows: int = 50) -> list[int]:
    sample = RowSample(DICTIONARY, np.random.default_rng(seed), max_rows=max_rows)
    for batch in pa.table({"x": np.arange(rows)}).to_batches(max_chunksize=batch_rows):
        sample.add(batch)
    return sample.table()["x"].to_pylist()


def test_a_sample_has_the_bound_and_no_row_twice() -> None:
    values = sampled(1000, 64, seed=1)

    assert len(values) == 50
    assert len(set(values)) == 50


@pytest.mark.parametrize("batch_rows", [1, 64, 1000])
def test_the_same_rows_are_drawn_however_they_are_cut(batch_rows: int) -> None:
    assert sampled(1000, batch_rows, seed=4) == sampled(1000, 17, seed=4)


def test_every_row_is_equally_likely_wherever_it_stands() -> None:
    drawn = np.concatenate([sampled(400, 37, seed) for seed in range(400)])

    in_eighths = np.bincount(drawn // 50, minlength=8)

    assert len(drawn) == 400 * 50
    assert stats.chisquare(in_eighths).pvalue > 1e-4


def test_the_order_is_random() -> None:
    first = [sampled(400, 37, seed)[0] for seed in range(200)]

    assert stats.kstest(np.array(first) / 400, "uniform").pvalue > 1e-4


def test_all_rows_stay_when_there_are_fewer_than_the_bound() -> None:
    assert sorted(sampled(30, 7, seed=1)) == list(range(30))
    assert sampled(0, 7, seed=1) == []
