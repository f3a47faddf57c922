from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def pressures(column: Any) -> Any:
    return column("sbp", unit="mm[Hg]", loinc="8480-6"), column("dbp", unit="mm[Hg]", loinc="8462-4")


@pytest.mark.parametrize("swapped", [1, 10])
def test_swapped_pressures_are_found_from_the_first_row_on(
    swapped: int, findings: Any, pressures: Any, random: Any
) -> None:
    high, low = random.normal(140, 8, 300), random.normal(80, 5, 300)
    is_swapped = np.arange(300) < swapped
    rows = (np.where(is_swapped, low, high), np.where(is_swapped, high, low))

    suspicions = findings(*zip(pressures, rows, strict=True))

    assert [finding.name for finding in suspicions] == ["pressure-swapped:sbp"]
    assert ("fewer than 10 rows" in suspicions[0].message) == (swapped == 1)
    assert findings((pressures[0], high), (pressures[1], low)) == []


def test_a_misplaced_decimal_is_not_called_swapped(found: Any, pressures: Any, random: Any) -> None:
    high, low = random.normal(140, 8, 300), random.normal(80, 5, 300)
    low[0] = 800

    assert found((pressures[0], high), (pressures[1], low)) == ["pressure-times-ten:dbp"]


def test_pressures_in_two_units_or_two_of_a_kind_are_not_compared(found: Any, column: Any, random: Any) -> None:
    high, low = random.normal(85, 3, 300), random.normal(88, 3, 300)
    systolic = [column(name, unit="mm[Hg]", loinc="8480-6") for name in ("sbp", "sbp2")]
    diastolic = column("dbp", unit="mm[Hg]", loinc="8462-4")
    kilopascal = column("dbp", unit="kPa", loinc="8462-4")

    assert "pressure-swapped:sbp" in found((systolic[0], high), (diastolic, low))
    assert found((systolic[0], high), (systolic[1], high + 1), (diastolic, low)) == []
    assert found((systolic[0], high), (kilopascal, low / 7.5)) == []


def test_swapped_height_and_weight_are_found_in_any_unit(found: Any, column: Any, random: Any) -> None:
    height, weight = random.normal(172, 8, 300), random.normal(78, 9, 300)
    columns = column("height", unit="cm", loinc="8302-2"), column("weight", unit="kg", loinc="29463-7")
    pounds = column("weight", unit="[lb_av]", loinc="29463-7")
    first = np.arange(300) < 1
    swapped = np.where(first, 70, height), np.where(first, 168, weight)

    assert found((columns[0], swapped[0]), (columns[1], swapped[1])) == ["height-weight-swapped:height"]
    assert found((columns[0], height), (columns[1], weight)) == []
    assert found((columns[0], height), (pounds, weight * 2.2)) == []
