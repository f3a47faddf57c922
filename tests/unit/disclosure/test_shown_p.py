"""Chi-squares on the grid of their root, and p-values that are of what is shown and of nothing finer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import chdtrc, ndtr

from heartify.disclosure.cells import Kind, is_released_cell, round_cell
from heartify.disclosure.codes import WithheldCode, WithheldError
from heartify.disclosure.tables import Column, ExactTable, TableSpec, check_table, release_table
from heartify.disclosure.tables.spec import chi_square, count, estimate, label, number, p_value

SPECS = {
    "tests": TableSpec("tests", (label("term"), chi_square(), number("df"), p_value(of="chi2", df="df"))),
    "effects": TableSpec("effects", (label("term"), count("n"), *estimate(), p_value(of="estimate")), needs=("n",)),
    "single": TableSpec("single", (label("term"), chi_square(), p_value(of="chi2"))),
}


def shown(name, **row):
    return release_table(ExactTable(name, [{"term": "age", **row}]), SPECS).rows[0]


@pytest.mark.parametrize(("exact", "steps"), [(0.0, 0), (0.0024, 0), (0.0026, 1), (3.841459, 20), (98.675456, 99)])
def test_a_chi_square_is_the_square_of_a_root_in_tenths(exact, steps):
    assert round_cell(Kind.CHI2, exact) == steps**2 / 100
    assert is_released_cell(Kind.CHI2, steps**2 / 100)


def test_every_released_chi_square_passes_the_gate_and_a_finer_one_does_not():
    released = [round_cell(Kind.CHI2, float(value)) for value in np.geomspace(1e-4, 1e9, 400)]

    assert all(is_released_cell(Kind.CHI2, value) for value in released)
    assert not is_released_cell(Kind.CHI2, 3.84)
    assert round_cell(Kind.CHI2, -1.0) is None
    assert not is_released_cell(Kind.CHI2, -1.0)


def test_the_p_of_a_test_is_that_of_its_shown_chi_square_and_not_of_the_exact_one():
    row = shown("tests", chi2=7.1, df=3, p=math.log(0.5))

    assert row == ("age", 7.29, 3, f"{chdtrc(3, 7.29):.3f}")
    assert shown("tests", chi2=7.1, df=3) == row
    assert shown("single", chi2=3.8)[-1] == f"{chdtrc(1, 3.61):.3f}"


def test_the_p_of_an_estimate_is_that_of_its_shown_z():
    row = shown("effects", n=100, se=0.1266, estimate=0.2555, ci_low=0.0, ci_high=0.5)

    assert row[3] == 0.26
    assert row[-1] == f"{2 * ndtr(-2.0):.3f}"


@pytest.mark.parametrize("row", [{"chi2": None, "df": 3}, {"chi2": 7.1, "df": None}, {"chi2": 7.1, "df": 0}])
def test_without_a_statistic_or_its_degrees_of_freedom_there_is_no_p(row):
    assert shown("tests", **row)[-1] is None


def test_beside_a_suppressed_count_there_is_no_p_either():
    assert shown("effects", n=9, se=0.1, estimate=0.2, ci_low=0.0, ci_high=0.4)[1:] == (None,) * 6


def test_the_gate_refuses_a_p_that_is_not_of_the_shown_figure():
    row = shown("tests", chi2=7.1, df=3)
    columns = tuple(column.name for column in SPECS["tests"].columns)
    check_table("tests", columns, [row], SPECS)

    with pytest.raises(WithheldError) as caught:
        check_table("tests", columns, [(*row[:-1], "0.069")], SPECS)

    assert caught.value.code is WithheldCode.OUTPUT_SCHEMA


def test_a_p_of_what_does_not_stand_before_it_is_no_spec():
    with pytest.raises(ValueError, match="stand before"):
        TableSpec("bad", (p_value(of="chi2"), chi_square()))
    with pytest.raises(ValueError, match="stand before"):
        TableSpec("bad", (chi_square(), Column("df", Kind.NUMBER, of="chi2")))
