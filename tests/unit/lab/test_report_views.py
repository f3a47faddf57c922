"""Arranged tables: the cross table loses no row, views hold the released figures and no other, odd tables fall back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.disclosure.cells import Kind
from heartify.disclosure.tables import TABLES, ExactTable, release_table
from heartify.lab.report.arrangements import ARRANGEMENTS, arrange
from heartify.lab.report.cross_tables import MAX_ACROSS, cross_table
from heartify.lab.report.number_text import exact_text
from heartify.lab.report.plots.flow_chart import draw_flow
from heartify.lab.report.plots.table_rows import rows_of
from heartify.lab.report.table_cells import build_layout
from heartify.lab.report.table_views import Source
from heartify.lab.report.table_words import table_words
from heartify.protocol.result import Table

ALL = "all hospitals"
TITLES = {"age": "Age", "sbp": "Systolic blood pressure"}
LABELS = st.sampled_from(["a", "b", "c"])


def source_of(name, *rows):
    """Release exact rows given by column name, and lay them out as the report does."""
    columns = [column.name for column in TABLES[name].columns]
    exact = ExactTable(name, [{column: row.get(column) for column in columns} for row in rows])
    table = release_table(exact, TABLES)
    released = Table(name=name, columns=table.columns, rows=table.rows)
    layout = build_layout(name, table.columns, table_words(name), "odds ratio")
    return Source(rows_of(released), layout, TITLES, "odds ratio")


def arranged(name, *rows):
    return arrange(name, "Title", source_of(name, *rows), has_plots=False)


def texts(view):
    """Return a view as text: its headings, then its rows, second lines after a bar."""

    def words(pieces, second_line):
        tail = "".join(piece.shown for piece in second_line)
        return pieces + (f" | {tail}" if tail else "")

    heads = [words(heading.words, heading.second_line) for heading in view.headings]
    rows = [[words("".join(p.shown for p in cell.pieces), cell.second_line) for cell in row] for row in view.rows]
    return [heads, *rows]


def figures(found):
    """Return the exact figures that the views hold, headings among them."""
    views = found.views
    pieces = [
        piece for view in views for row in view.rows for cell in row for piece in (*cell.pieces, *cell.second_line)
    ]
    pieces += [piece for view in views for heading in view.headings for piece in heading.second_line]
    return {piece.exact for piece in pieces if piece.exact}


def flow(*hospitals):
    steps = (("patients read", 500), ("sbp missing", 40), ("complete cases", 460))
    return [{"hospital": name, "step": step, "n": n} for name in hospitals for step, n in steps]


def numbers(*hospitals, p05=40.0):
    return [
        {"hospital": name, "group": group, "factor": factor, "n": n, "mean": 57.72, "sd": 12.31, "median": 58.0,
         "p05": p05, "p95": 78.0}
        for factor in ("age", "sbp") for name in hospitals for group, n in (("all", 300), ("event", 100))
    ]  # fmt: skip


def levels(*counts):
    return [
        {"hospital": ALL, "group": "all", "factor": "grade", "level": str(place), "n": n}
        for place, n in enumerate(counts)
    ]


def pooled(model, **cells):
    return {"factor": "age", "model": model, "hospitals": 3, "se": 0.1, "estimate": 0.5, "ci_low": 0.3, "ci_high": 0.7,
            "q": 4.0, "df": 2, **cells}  # fmt: skip


@given(st.lists(st.tuples(LABELS, LABELS, LABELS), max_size=20))
@settings(max_examples=60, deadline=None)
def test_a_cross_table_has_every_row_in_its_place_or_there_is_none(labels):
    rows = [{"x": x, "y": y, "z": z, "n": place} for place, (x, y, z) in enumerate(labels)]

    table = cross_table(rows, ("x", "y"), "z")

    assert (table is None) == (len(set(labels)) < len(labels))
    if table is not None:
        placed = [table.row(key, column) for key in table.keys for column in table.columns]
        assert sorted(row["n"] for row in placed if row is not None) == list(range(len(rows)))
        firsts = [key[0] for key in table.keys]
        assert all(firsts.index(first) + firsts.count(first) > place for place, first in enumerate(firsts))


@pytest.mark.parametrize("row", [{"x": "a"}, {"x": "a", "z": None}, {"x": "a", "z": 3}], ids=["no", "empty", "number"])
def test_rows_without_a_label_make_no_cross_table(row):
    assert cross_table([{"x": "a", "z": "b"}], ("x",), "z") is not None
    assert cross_table([row], ("x",), "z") is None


def test_all_hospitals_stand_first_and_many_columns_go_into_several_tables():
    names = [f"h{place}" for place in range(MAX_ACROSS)]
    rows = [{"x": "a", "z": name} for name in (*names, ALL)]

    table = cross_table(rows, ("x",), "z")

    assert [page.columns for page in table.pages()] == [(ALL, *names[:-1]), (names[-1],)]


def test_the_flow_has_a_line_for_each_step_and_a_column_for_each_hospital():
    found = arranged("flow", *flow("aspen", ALL))

    assert texts(found.views[0]) == [
        ["step", ALL, "aspen"],
        ["patients read", "500", "500"],
        ["Systolic blood pressure missing", "40", "40"],
        ["complete cases", "460", "460"],
    ]


def test_table_1_has_groups_across_and_the_hospitals_are_folded():
    found = arranged("table1_numbers", *numbers(ALL, "aspen"))

    assert texts(found.views[0])[:3] == [
        ["factor", "measure", "all | n = 300", "event | n = 100"],
        ["Age", "mean (SD)", "57.7 (12.3)", "57.7 (12.3)"],
        ["Age", "median [5th–95th percentile]", "58 [40 to 78]", "58 [40 to 78]"],
    ]
    assert [bool(view.summary) for view in found.views] == [False, True]
    assert found.views[0].rows[1][0].is_repeated
    assert texts(found.views[1])[:4] == [
        ["factor", "group", ALL, "aspen"],
        ["patients", "all", "300", "300"],
        ["patients", "event", "100", "100"],
        ["Age", "all", "57.7 (12.3) | 58 [40 to 78]", "57.7 (12.3) | 58 [40 to 78]"],
    ]


def test_patients_that_differ_between_factors_stand_with_each_of_them():
    rows = numbers(ALL, "aspen")
    rows[0]["n"] = 280

    found = arranged("table1_numbers", *rows)

    assert texts(found.views[0])[1] == ["Age", "patients", "280", "100"]
    assert texts(found.views[1])[1][2] == "57.7 (12.3) | 58 [40 to 78]; n = 280"


def test_a_percentile_that_is_not_shown_is_a_dash():
    found = arranged("table1_numbers", *numbers(ALL, p05=None))

    assert texts(found.views[0])[2][2] == "58 [— to 78]"


def test_percentages_are_of_the_rounded_counts_and_say_so():
    found = arranged("table1_levels", *levels(31, 68))

    assert [row[2] for row in texts(found.views[0])[1:]] == ["30 (30 %)", "70 (70 %)"]
    assert "worked out from the rounded counts" in found.lead


def test_beside_a_suppressed_level_no_percentage_is_worked_out():
    found = arranged("table1_levels", *levels(31, 68, 4))

    assert [row[2] for row in texts(found.views[0])[1:]] == ["30", "70", "—"]


def test_missing_values_are_shares_with_their_patients_below_the_patients_read():
    rows = [{"hospital": name, "factor": "sbp", "rows": 500, "missing": missing, "share": missing / 500}
            for name, missing in ((ALL, 41), ("aspen", 3))]  # fmt: skip

    found = arranged("missingness", *rows)

    assert texts(found.views[0]) == [
        ["factor", f"{ALL} | of 500", "aspen"],
        ["Systolic blood pressure", "8 % (40)", "—"],
    ]


def test_columns_without_a_finding_are_one_sentence_and_a_finding_is_a_row():
    clean = {"hospital": "aspen", "column": "age", "unit": "a", "finding": "no finding"}
    odd = {**clean, "hospital": "birch", "finding": "values outside plausible limits", "n": 40}

    none, one = arranged("plausibility", clean), arranged("plausibility", clean, odd)

    assert none.lead.startswith("No finding in 1 of 1 ")
    assert [bool(view.summary) for view in none.views] == [True]
    assert one.lead.startswith("No finding in 1 of 2 ")
    assert [len(view.rows) for view in one.views] == [1, 2]


def test_tests_of_one_hypothesis_stand_side_by_side():
    rows = [{"term": "age", "hypothesis": "no association", "test": test, "chi2": chi2, "df": 1}
            for test, chi2 in (("likelihood-ratio", 9.0), ("wald", 4.0))]  # fmt: skip

    found = arranged("tests", *rows)

    assert texts(found.views[0])[0] == ["term", "hypothesis", "df", "likelihood-ratio χ²", "p", "Wald χ²", "p"]
    assert texts(found.views[0])[1] == ["Age", "no association", "1", "9", "0.0027", "4", "0.046"]


def test_tests_of_one_hypothesis_with_other_degrees_of_freedom_are_not_merged():
    rows = [{"term": "age", "hypothesis": "no association", "test": test, "chi2": 9.0, "df": df}
            for test, df in (("likelihood-ratio", 1), ("wald", 2))]  # fmt: skip

    assert len(arranged("tests", *rows).views[0].rows) == 2


def test_a_hospital_that_shows_nothing_has_its_reason_in_place_of_a_ratio():
    shown = {"factor": "age", "hospital": "aspen", "status": "estimated", "n": 300, "se": 0.1, "estimate": 0.5,
             "ci_low": 0.3, "ci_high": 0.7}  # fmt: skip

    found = arranged("hospital_estimates", shown, {"factor": "age", "hospital": "birch", "status": "suppressed"})

    assert texts(found.views[0])[0] == ["factor", "aspen | n = 300", "birch"]
    assert texts(found.views[0])[1] == ["Age", "1.65 | (1.35 to 2.01)", "suppressed"]
    assert all(view.summary for view in found.views)


def test_a_pooling_is_one_line_with_both_ratios_and_the_spread_of_random_effects():
    random = pooled("random effects", tau2=0.01, tau2_low=0.0, tau2_high=0.2, i2=0.36, i2_low=0.0, i2_high=0.9,
                    prediction_low=0.1, prediction_high=0.9)  # fmt: skip

    found = arranged("meta_analysis", pooled("fixed effect", i2=0.34), random)

    line = texts(found.views[0])[1]
    assert line[:4] == ["Age", "1.65 | (1.35 to 2.01)", "1.65 | (1.35 to 2.01)", "1.11 to 2.46"]
    assert line[4:] == ["0.36 | (0.00 to 0.90)", "0.01 | (0 to 0.2)", "4 (2)", "0.14"]


def test_a_pooling_of_a_kind_that_the_view_does_not_know_is_shown_row_by_row():
    found = arranged("meta_analysis", pooled("fixed effect"), pooled("robust"))

    assert len(found.views) == 1
    assert len(found.views[0].rows) == 2


def test_apparent_and_corrected_measures_stand_side_by_side():
    rows = [{"measure": "auc", "evaluation": evaluation, "value": value, "ci_low": 0.7, "ci_high": 0.8}
            for evaluation, value in (("apparent", 0.76), ("optimism-corrected", 0.74))]  # fmt: skip

    found = arranged("discrimination", *rows)

    assert texts(found.views[0]) == [
        ["measure", "apparent (95 % CI)", "optimism-corrected (95 % CI)"],
        ["AUC", "0.76 (0.70 to 0.80)", "0.74 (0.70 to 0.80)"],
    ]


def test_a_screens_summary_has_one_value_for_each_measure():
    found = arranged("screen_summary", {"measure": "hits", "number": 4}, {"measure": "lambda gc", "value": 1.04})

    assert texts(found.views[0]) == [["measure", "value"], ["hits", "4"], ["λGC", "1.04"]]


def test_a_hit_has_both_ratios_and_its_heterogeneity_and_all_figures_are_folded_below():
    hit = {"candidate": "sbp", "n": 970, "se": 0.1, "estimate": 0.5, "ci_low": 0.3, "ci_high": 0.7, "q": math.log(0.04),
           "hospitals": 3, "heterogeneity": 4.0, "heterogeneity_df": 2, "i2": 0.5, "refit": "firth", "refit_se": 0.1,
           "refit_estimate": 0.4, "refit_ci_low": 0.2, "refit_ci_high": 0.6}  # fmt: skip

    found = arranged("screen_hits", hit)

    assert texts(found.views[0])[1] == ["Systolic blood pressure", "970", "<0.001", "0.040", "1.65 (1.35 to 2.01)",
                                        "1.49 (1.22 to 1.82) | firth", "4 (2) | p 0.14", "0.50"]  # fmt: skip
    assert [bool(view.summary) for view in found.views] == [False, True]


@pytest.mark.parametrize("name", sorted(ARRANGEMENTS.keys() - {"screen_summary"}))
def test_an_arrangement_holds_every_figure_that_was_released_and_no_other_but_ratios(name):
    kinds = {column.name: column.kind for column in TABLES[name].columns}
    examples = {Kind.COUNT: 137, Kind.SE: 0.0123, Kind.ESTIMATE: 0.2345, Kind.BOUND: 0.2567, Kind.NUMBER: 3}
    across = {"group": "all", "model": "random effects", "hospital": ALL, "finding": "odd"}
    row = {column: across.get(column, "age") if kind is Kind.LABEL else examples.get(kind, 0.765)
           for column, kind in kinds.items()}  # fmt: skip
    source = source_of(name, row)
    released = {cell for cells in source.rows for cell in cells.values() if isinstance(cell, (int, float))}

    found = arrange(name, "Title", source, has_plots=False)

    allowed = {text for cell in released for text in (str(cell), exact_text(cell), exact_text(math.exp(cell)))}
    assert found != arrange("another", "Title", source, has_plots=False)
    assert all(len(row) == len(view.headings) for view in found.views for row in view.rows)
    assert figures(found) <= allowed
    assert all({str(cell), exact_text(cell)} & figures(found) for cell in released)


@pytest.mark.parametrize("name", sorted(ARRANGEMENTS.keys() - {"screen_summary"}))
def test_a_table_with_other_columns_or_two_rows_for_one_place_is_shown_row_by_row(name):
    columns = [column.name for column in TABLES[name].columns if column.kind is Kind.LABEL]
    layout = build_layout(name, columns, table_words(name), "odds ratio")
    label = dict.fromkeys(columns, "no finding")

    found = arrange(name, "Title", Source((label, label), layout, {}, "odds ratio"), has_plots=False)

    assert [len(view.rows) for view in found.views] == [2]
    assert found.views[0].summary == ""


def test_a_summary_with_two_values_in_a_row_is_shown_row_by_row():
    found = arranged("screen_summary", {"measure": "hits", "number": 4, "value": 1.04})

    assert texts(found.views[0]) == [["measure", "number", "value"], ["hits", "4", "1.04"]]


def test_a_wide_table_has_its_intervals_on_a_second_line_and_a_narrow_one_in_line():
    wide = arranged("left_out_hospital", {"hospital": "aspen", "status": "estimated", "n": 300, "events": 100,
                                          "c": 0.75, "c_low": 0.7, "c_high": 0.8})  # fmt: skip
    narrow = arranged("calibration_curve", {"predicted": 0.2, "observed": 0.25, "ci_low": 0.2, "ci_high": 0.3})

    assert "0.75 | (0.70 to 0.80)" in texts(wide.views[0])[1]
    assert "0.25 (0.20 to 0.30)" in texts(narrow.views[0])[1]


class Result:
    """A result with one table."""

    def __init__(self, rows):
        self._table = Table(name="flow", columns=("hospital", "step", "n"), rows=rows)

    def table(self, name):
        return self._table if name == "flow" else None


def test_the_flow_chart_shows_all_hospitals_from_patients_read_to_complete_cases():
    rows = tuple((row["hospital"], row["step"], row["n"]) for row in flow(ALL, "aspen"))

    (drawing,) = draw_flow(Result((*rows[:2], (ALL, "other reasons", None), *rows[2:])), TITLES)

    shown = [shape.text for shape in drawing.shapes if shape.tag == "text"]
    assert shown == ["patients read", "n = 500", "complete cases", "n = 460",
                     "left out, each at the first reason that applies", "Systolic blood pressure missing", "40",
                     "other reasons", "—"]  # fmt: skip
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for s in drawing.shapes for x, y in s.points)


@pytest.mark.parametrize("hidden", [0, 2], ids=["patients read", "complete cases"])
def test_a_flow_whose_ends_are_not_shown_has_no_chart(hidden):
    rows = [(row["hospital"], row["step"], row["n"]) for row in flow(ALL)]
    rows[hidden] = (*rows[hidden][:2], None)

    assert draw_flow(Result(tuple(rows)), TITLES) == ()
