from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def marked(values: np.ndarray, code: float, count: int = 12) -> np.ndarray:
    return np.concatenate([np.full(count, code), values[count:]])


@pytest.mark.parametrize("code", [-9, -99, 88, 99, 999, 9999])
def test_a_number_apart_from_all_others_is_found(code: float, found: Any, column: Any, random: Any) -> None:
    drinks = random.integers(0, 30, 500).astype(float)

    assert found((column("drinks", unit="/wk"), marked(drinks, code))) == ["missing-code-as-value:drinks"]
    assert found((column("drinks", unit="/wk"), drinks)) == []


def test_nine_beside_a_short_scale_is_found(found: Any, column: Any, random: Any) -> None:
    scale = random.integers(0, 5, 500).astype(float)

    assert found((column("nyha", datatype="integer"), marked(scale, 9))) == ["missing-code-as-value:nyha"]
    assert found((column("nyha", datatype="integer"), scale * 2 + 1)) == []


def test_two_codes_do_not_hide_each_other(found: Any, column: Any, random: Any) -> None:
    drinks = marked(random.integers(0, 30, 500).astype(float), 99)

    assert found((column("drinks", unit="/wk"), np.r_[drinks, np.full(9, 88.0)])) == ["missing-code-as-value:drinks"]


def test_a_code_among_values_is_found_where_it_towers_over_them(found: Any, column: Any, random: Any) -> None:
    score = random.normal(90, 15, 1000).round()
    others = score[score != 99]

    assert found((column("score", unit="%"), np.r_[others, np.full(800, 99.0)])) == ["missing-code-as-value:score"]
    assert found((column("score", unit="%"), score)) == []


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_base_excess_cigarettes_and_rounded_values_are_left_alone(
    scale: float, found: Any, column: Any, random: Any
) -> None:
    base_excess = random.normal(0, 4, 800).round()
    skewed = random.exponential(25 * scale, 800).round()
    saturation = np.minimum(100, random.normal(97, 2, 800).round())

    assert found((column("be", unit="mmol/L"), base_excess)) == []
    assert found((column("skewed", unit="/d"), skewed)) == []
    assert found((column("saturation", unit="%"), saturation)) == []


def test_nothing_but_codes_is_no_code_among_values(found: Any, column: Any) -> None:
    assert found((column("drinks", unit="/wk"), [88.0, 99.0] * 10)) == []


def test_one_or_two_such_values_may_be_true(found: Any, column: Any, random: Any) -> None:
    drinks = random.integers(0, 30, 500).astype(float)

    assert found((column("drinks", unit="/wk"), marked(drinks, 99, count=2))) == []
