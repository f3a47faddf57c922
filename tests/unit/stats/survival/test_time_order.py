"""Sorting by time: the same stable order whichever way it is sorted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from heartify.stats.survival.design import HALVED_ROWS, _time_order

RNG = np.random.default_rng(20261122)
TIMES = {
    "whole days": RNG.integers(0, 3000, HALVED_ROWS + 7).astype(np.float64),
    "the largest radix": np.array([65535.0, 0.0, 65535.0, 3.0]),
    "beyond the radix": np.array([65536.0, 1.0, 65536.0, 70000.0, 1.0]),
    "negative": np.array([3.0, -1.0, 3.0, -1.0]),
    "fractions with ties": np.round(RNG.exponential(8.0, HALVED_ROWS + 1), 2),
    "one": np.array([2.5]),
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("threads", [0, 2])
def test_the_order_is_the_stable_one(name, threads):
    time = TIMES[name]

    if threads:
        with ThreadPoolExecutor(threads) as executor:
            order = _time_order(time, executor)
    else:
        order = _time_order(time, None)

    assert np.array_equal(order, np.argsort(time, kind="stable"))
