from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.cohort.lint.batch_view import view_of_table
from heartify.cohort.lint.persons import IdWatch
from heartify.cohort.lint.watch import Seen


@pytest.fixture
def ids(column: Any) -> Any:
    return column("patient", datatype="category", role="id")


def test_an_id_twice_is_found(findings: Any, column: Any, ids: Any, random: Any) -> None:
    values = (column("x"), random.normal(0, 1, 100))
    names = [f"p{number}" for number in range(100)]

    suspicions = findings((ids, [*names[:99], " p0 "]), values)

    assert [finding.name for finding in suspicions] == ["duplicate-person:patient"]
    assert "fewer than 10 rows" in suspicions[0].message
    assert "p0" not in suspicions[0].message
    assert findings((ids, names), values) == []


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_missing_id_is_found_and_is_no_duplicate(
    missing: str | None, found: Any, column: Any, ids: Any, random: Any
) -> None:
    names = [f"p{number}" for number in range(98)]

    assert found((ids, [*names, missing, missing]), (column("x"), random.normal(0, 1, 100))) == ["missing-id:patient"]


def test_equal_rows_beyond_chance_are_found(found: Any, column: Any, random: Any) -> None:
    weight, height = random.normal(80, 12, 500).round(1), random.normal(172, 9, 500).round()
    again = np.r_[np.arange(495), np.arange(5)]
    columns = column("a", unit="kg"), column("b", unit="cm")

    assert found((columns[0], weight[again]), (columns[1], height[again])) == []  # chance alone makes a few here
    score = random.normal(50, 12, 500).round(3)
    planted = [(columns[0], weight), (columns[1], height), (column("c"), score)]
    assert found(*((declared, values[again]) for declared, values in planted)) == ["duplicate-rows:cohort"]
    assert found(*planted) == []


def test_equal_rows_are_ordinary_where_columns_are_coarse(found: Any, column: Any, random: Any) -> None:
    flags = [(column(f"flag{number}", datatype="boolean"), random.random(800) < 0.2) for number in range(6)]

    assert found(*flags) == []


def test_rows_with_nothing_known_are_not_equal(found: Any, column: Any, random: Any) -> None:
    values = np.where(np.arange(500) < 30, np.nan, random.normal(0, 1, 500))

    assert found((column("a"), values), (column("b"), values * 2)) == []


def test_beyond_the_bound_repeated_ids_are_estimated_and_the_message_says_so(
    cohort: Any, column: Any, ids: Any
) -> None:
    names = [f"p{number}" for number in range(4000)] * 2
    table, _ = cohort((ids, names), (column("x"), np.arange(8000) + 0.5))
    watch = IdWatch("patient", max_distinct=500)
    for start in range(0, 8000, 1000):
        watch.add(view_of_table(table.slice(start, 1000)))

    found = list(watch.findings(Seen(8000, {}, {}, view_of_table(table))))

    assert [finding.code for finding in found] == ["duplicate-person"]
    assert found[0].message.endswith("estimated from a part of the ids")
