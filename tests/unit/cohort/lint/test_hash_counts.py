from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.cohort.lint.hash_counts import HashCounts


def counted(hashes: np.ndarray, pieces: int, **options: Any) -> HashCounts:
    counts = HashCounts(**options)
    for piece in np.array_split(hashes, pieces):
        counts.add(piece)
    return counts


@pytest.fixture
def hashes(random: Any) -> np.ndarray:
    return random.choice(random.integers(0, 2**64, 3000, dtype=np.uint64), 10_000)


@pytest.mark.parametrize("pieces", [1, 7, 300])
def test_counts_are_exact_below_the_bound(pieces: int, hashes: np.ndarray) -> None:
    counts = counted(hashes, pieces)

    assert sorted(counts.counts()) == sorted(np.unique(hashes, return_counts=True)[1])
    assert counts.sampling_factor == 1


def test_beyond_the_bound_a_part_is_counted_exactly_whatever_the_order(hashes: np.ndarray) -> None:
    counts = counted(hashes, 5, max_distinct=1000)
    other_way = counted(hashes[::-1], 50, max_distinct=1000)

    assert counts.sampling_factor == 4
    assert np.array_equal(counts.counts(), other_way.counts())
    distinct, exact = np.unique(hashes, return_counts=True)
    assert np.array_equal(counts.counts(), exact[distinct % np.uint64(4) == 0])
    assert counts.counts().sum() * 4 == pytest.approx(len(hashes), rel=0.15)


def test_many_pieces_are_merged_on_the_way(random: Any) -> None:
    counts = HashCounts()
    for _ in range(6):
        counts.add(np.arange(100_000, dtype=np.uint64))

    assert set(counts.counts()) == {6}


def test_nothing_counted_is_nothing() -> None:
    assert len(HashCounts().counts()) == 0
