from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import InvalidBlockError
from heartify.stats.missing import (
    IncompleteTable,
    JointPattern,
    NeverMeasured,
    binary,
    categorical,
    continuous,
    missing_pattern,
)

NAN = np.nan


def small_table() -> IncompleteTable:
    columns = (
        continuous("sbp", [120.0, NAN, 130.0, NAN, 140.0]),
        categorical("grade", [0, -1, 2, 1, -1], 3),
        binary("y", [0, 1, 1, 0, 1]),
    )
    return IncompleteTable(columns, np.array([0, 0, 1, 1, 1]), ("north", "south"))


def test_gaps_are_counted_by_column_and_hospital() -> None:
    pattern = missing_pattern(small_table())

    np.testing.assert_array_equal(pattern.missing, [[1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(pattern.rows, [2, 3])
    np.testing.assert_array_equal(pattern.complete, [1, 1])
    assert pattern.incomplete_fraction == pytest.approx(0.6)
    assert pattern.never_measured == ()


def test_joint_patterns_count_every_row_once() -> None:
    pattern = missing_pattern(small_table())

    assert pattern.joint == (
        JointPattern((), 2),
        JointPattern(("sbp",), 1),
        JointPattern(("sbp", "grade"), 1),
        JointPattern(("grade",), 1),
    )


def test_column_never_measured_by_a_hospital_is_flagged() -> None:
    columns = (continuous("hdl", [1.2, 1.4, NAN, NAN]), binary("y", [0, 1, 0, 1]))

    pattern = missing_pattern(IncompleteTable(columns, np.array([0, 0, 1, 1]), ("north", "south")))

    assert pattern.never_measured == (NeverMeasured("hdl", "south"),)


def test_patterns_of_a_hospital_s_parts_add_up() -> None:
    table = small_table()

    parts = [missing_pattern(table.keep(rows)) for rows in (np.array([0, 2, 3]), np.array([1, 4]))]

    whole = missing_pattern(table)
    np.testing.assert_array_equal(sum(part.missing for part in parts), whole.missing)
    np.testing.assert_array_equal(sum(part.complete for part in parts), whole.complete)


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (continuous, [1.0, np.inf]),
        (continuous, [[1.0]]),
        (continuous, ["a"]),
        (binary, [0, 1, 2]),
        (binary, [0.5, 1]),
    ],
)
def test_values_that_do_not_fit_the_kind_are_refused(build: object, values: object) -> None:
    with pytest.raises(InvalidBlockError):
        build("x", values)  # type: ignore[operator]


@pytest.mark.parametrize(("codes", "levels"), [([0, 1, 3], 3), ([0, 0], 1), ([0, -2], 3)])
def test_codes_that_are_not_levels_are_refused(codes: list[int], levels: int) -> None:
    with pytest.raises(InvalidBlockError):
        categorical("grade", codes, levels)


def test_refusals_do_not_quote_a_value() -> None:
    with pytest.raises(InvalidBlockError) as caught:
        continuous("sbp", ["Erika Mustermann"])

    assert "Erika" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("columns", "hospital", "names"),
    [
        ((), [0], ("a",)),
        ((binary("y", [0, 1]), binary("y", [0, 1])), [0, 0], ("a",)),
        ((binary("y", [0, 1]), binary("z", [0])), [0, 0], ("a",)),
        ((binary("y", [0, 1]),), [0, 2], ("a", "b")),
        ((binary("y", [0, 1]),), [0, 0], ("a", "b")),
        ((binary("y", [0, 1]),), [0, 1], ("a", "a")),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(columns: object, hospital: list[int], names: object) -> None:
    with pytest.raises(InvalidBlockError):
        IncompleteTable(columns, np.array(hospital), names)  # type: ignore[arg-type]


def test_a_column_needs_a_name() -> None:
    with pytest.raises(InvalidBlockError):
        continuous("", [1.0])
