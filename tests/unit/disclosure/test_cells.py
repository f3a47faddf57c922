"""Kinds of cell: each has a grid, rounding is idempotent, and nothing off its grid passes for released."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.disclosure.cells import MAX_LABEL_CHARACTERS, Kind, is_released_cell, round_cell

REAL = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "exact", "shown"),
    [
        (Kind.LABEL, "age", "age"),
        (Kind.NUMBER, 3, 3),
        (Kind.COUNT, 9, None),
        (Kind.COUNT, 0, None),
        (Kind.COUNT, 10, 10),
        (Kind.COUNT, 1234, 1235),
        (Kind.SE, 0.12662, 0.13),
        (Kind.P, math.log(0.04712), "0.047"),
        (Kind.P, -1e5, "<0.001"),
        (Kind.P, 0.0, "1.0"),
        (Kind.STATISTIC, 1105.4497, 1110.0),
        (Kind.MAGNITUDE, 127.4449, 127.0),
        (Kind.INDEX, 0.78401, 0.78),
        (Kind.INDEX, -0.001, 0.0),
        (Kind.FINE_INDEX, 0.18677, 0.187),
    ],
)
def test_a_cell_is_rounded_by_the_rule_of_its_kind(kind, exact, shown):
    assert round_cell(kind, exact) == shown


@pytest.mark.parametrize(("exact", "se", "shown"), [(0.025050, 0.012628, 0.0247), (-2.70579, 1.23297, -2.76)])
def test_an_estimate_lies_on_the_grid_of_a_tenth_of_its_shown_error(exact, se, shown):
    assert round_cell(Kind.ESTIMATE, exact, se) == shown
    assert round_cell(Kind.BOUND, exact, se) == shown


def test_an_estimate_without_an_error_is_not_shown():
    assert round_cell(Kind.ESTIMATE, 0.5, None) is None
    assert round_cell(Kind.ESTIMATE, 0.5, 0.0) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e13])
@pytest.mark.parametrize("kind", [Kind.STATISTIC, Kind.MAGNITUDE, Kind.INDEX, Kind.SE])
def test_what_is_not_finite_or_of_absurd_size_is_not_shown(kind, value):
    assert round_cell(kind, value) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.LABEL, ""),
        (Kind.LABEL, "a" * (MAX_LABEL_CHARACTERS + 1)),
        (Kind.LABEL, "line\nbreak"),
        (Kind.LABEL, 3),
        (Kind.NUMBER, 2.5),
        (Kind.COUNT, -20),
        (Kind.COUNT, "twenty"),
        (Kind.INDEX, "high"),
    ],
)
def test_what_is_not_of_the_kind_at_all_is_refused(kind, value):
    with pytest.raises(ValueError, match=r"label|whole|could not convert"):
        round_cell(kind, value)


@pytest.mark.parametrize("kind", [Kind.STATISTIC, Kind.MAGNITUDE, Kind.INDEX, Kind.FINE_INDEX, Kind.SE])
@given(value=REAL)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_rounding_is_idempotent_and_passes_the_gate(kind, value):
    shown = round_cell(kind, value)

    assert is_released_cell(kind, shown)
    assert shown is None or round_cell(kind, shown) == shown


@given(value=REAL, se=st.floats(min_value=1e-6, max_value=1e6))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_rounded_estimate_passes_the_gate_beside_its_rounded_error(value, se):
    shown_se = round_cell(Kind.SE, se)
    shown = round_cell(Kind.ESTIMATE, value, se)

    assert is_released_cell(Kind.ESTIMATE, shown, shown_se)
    assert abs(shown - value) <= 0.0501 * shown_se + 1e-9 * abs(value)


@given(log_p=st.floats(min_value=-2000, max_value=0))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_rounded_p_value_passes_the_gate(log_p):
    assert is_released_cell(Kind.P, round_cell(Kind.P, log_p))


@pytest.mark.parametrize(
    ("kind", "value", "se"),
    [
        (Kind.COUNT, 12, None),
        (Kind.COUNT, 5, None),
        (Kind.COUNT, 20.0, None),
        (Kind.SE, 0.126, None),
        (Kind.ESTIMATE, 0.02505, 0.013),
        (Kind.ESTIMATE, 0.0247, None),
        (Kind.P, 0.047, None),
        (Kind.P, "0.0471", None),
        (Kind.P, "0.0005", None),
        (Kind.P, "small", None),
        (Kind.STATISTIC, 1105.0, None),
        (Kind.INDEX, 0.784, None),
        (Kind.INDEX, True, None),
        (Kind.INDEX, math.nan, None),
        (Kind.FINE_INDEX, 0.18677, None),
        (Kind.LABEL, None, None),
        (Kind.LABEL, "\u202e", None),
    ],
)
def test_what_rounding_could_not_have_made_does_not_pass(kind, value, se):
    assert not is_released_cell(kind, value, se)


@pytest.mark.parametrize(("kind", "value"), [(Kind.INDEX, 1), (Kind.MAGNITUDE, 127), (Kind.STATISTIC, 0)])
def test_a_whole_number_of_a_real_kind_passes_as_canonical_json_gives_it_back(kind, value):
    assert is_released_cell(kind, value)
