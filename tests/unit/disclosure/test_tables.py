"""The closed list of tables, the release that rounds and suppresses, and the gate that believes nobody."""

from __future__ import annotations

import json
import math

import pytest

from heartify.disclosure.cells import Kind
from heartify.disclosure.codes import WithheldCode, WithheldError
from heartify.disclosure.tables import TABLES, Column, ExactTable, TableSpec, check_table, release_table
from heartify.disclosure.tables.spec import count, estimate, label, p_value

SPEC = TableSpec("effects", (label("hospital"), count("n"), *estimate(), p_value()), needs=("n",), max_rows=3)
SPECS = {"effects": SPEC}
ROW = {"hospital": "north", "n": 123, "se": 0.1266, "estimate": 0.512, "ci_low": 0.264, "ci_high": 0.760, "p": -7.0}


def shown(*rows):
    return release_table(ExactTable("effects", rows), SPECS)


def refuse(name="effects", columns=None, rows=()):
    with pytest.raises(WithheldError) as caught:
        check_table(name, shown(ROW).columns if columns is None else columns, rows, SPECS)
    return caught.value.code


def test_a_row_is_shown_on_the_grids_of_its_columns():
    table = shown(ROW)

    assert table.rows == (("north", 125, 0.13, 0.507, 0.26, 0.754, "<0.001"),)
    check_table(table.name, table.columns, table.rows, SPECS)


def test_beside_a_suppressed_count_no_figure_is_shown():
    table = shown({**ROW, "n": 9}, ROW)

    assert table.rows[0] == ("north", None, None, None, None, None, None)
    assert table.rows[1][1] == 125


def test_what_could_not_be_estimated_is_absent_and_the_rest_is_shown():
    assert shown({**ROW, "p": None, "ci_high": math.inf}).rows == (("north", 125, 0.13, 0.507, 0.26, None, None),)


def test_what_came_through_canonical_json_still_passes():
    table = shown({**ROW, "se": 2.0, "estimate": 6.0, "ci_low": 2.0, "ci_high": 10.0})

    check_table(
        table.name, table.columns, json.loads(json.dumps([[6 if c == 6.0 else c for c in table.rows[0]]])), SPECS
    )


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "more": 1.0},
        {name: value for name, value in ROW.items() if name != "p"},
        {**ROW, "n": 12.5},
        {**ROW, "hospital": None},
        {**ROW, "hospital": "two\nlines"},
        {**ROW, "estimate": "half"},
    ],
)
def test_a_row_of_other_columns_or_kinds_is_withheld(row):
    if row["hospital"] is None:
        released = shown(row)
        assert refuse(rows=released.rows) is WithheldCode.OUTPUT_SCHEMA
        return

    with pytest.raises(WithheldError) as caught:
        shown(row)

    assert caught.value.code is WithheldCode.OUTPUT_SCHEMA


def test_a_table_that_is_not_on_the_list_is_withheld():
    with pytest.raises(WithheldError) as caught:
        release_table(ExactTable("patients", [ROW]), SPECS)

    assert caught.value.code is WithheldCode.OUTPUT_SCHEMA
    assert refuse(name="patients") is WithheldCode.OUTPUT_SCHEMA


def test_a_table_with_more_rows_than_its_spec_is_withheld():
    with pytest.raises(WithheldError) as caught:
        shown(*[ROW] * 4)

    assert caught.value.code is WithheldCode.OUTPUT_TOO_LARGE
    assert refuse(rows=shown(ROW).rows * 4) is WithheldCode.OUTPUT_TOO_LARGE


@pytest.mark.parametrize(
    ("position", "value"), [(1, 123), (1, 5), (2, 0.126), (3, 0.512), (4, 0.2641), (6, "0.00091"), (0, 7), (2, "0.13")]
)
def test_the_gate_refuses_a_cell_off_its_grid(position, value):
    row = list(shown(ROW).rows[0])
    row[position] = value

    assert refuse(rows=[row]) is WithheldCode.OUTPUT_SCHEMA


def test_the_gate_refuses_figures_beside_a_suppressed_count():
    row = list(shown(ROW).rows[0])
    row[1] = None

    assert refuse(rows=[row]) is WithheldCode.OUTPUT_SCHEMA


def test_the_gate_refuses_other_columns_and_short_rows():
    table = shown(ROW)

    assert refuse(columns=table.columns[::-1], rows=table.rows) is WithheldCode.OUTPUT_SCHEMA
    assert refuse(rows=[table.rows[0][:-1]]) is WithheldCode.OUTPUT_SCHEMA


def test_a_spec_whose_estimate_has_no_error_before_it_is_no_spec():
    with pytest.raises(ValueError, match="no SE before it"):
        TableSpec("bad", (Column("estimate", Kind.ESTIMATE, "se"), Column("se", Kind.SE)))
    with pytest.raises(ValueError, match="no SE before it"):
        TableSpec("bad", (Column("estimate", Kind.ESTIMATE),))


def test_a_spec_whose_row_needs_what_is_no_count_is_no_spec():
    with pytest.raises(ValueError, match="no count"):
        TableSpec("bad", (label("hospital"),), needs=("hospital",))


def test_the_list_of_tables_has_no_kind_for_an_exact_number_and_bounds_every_table():
    assert all(spec.name == name and 0 < spec.max_rows <= 1000 for name, spec in TABLES.items())
    # Whole numbers that are not counts of patients: the only ones that are shown as they are.
    exact = {column.name for spec in TABLES.values() for column in spec.columns if column.kind is Kind.NUMBER}
    assert not {name for name in exact if name in {"n", "events", "at_risk", "rows", "missing", "patients"}}
