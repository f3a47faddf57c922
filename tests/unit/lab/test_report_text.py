from __future__ import annotations

import re
import typing
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from heartify.chain.events import PaymentRole
from heartify.disclosure import WithheldCode
from heartify.disclosure.released import build_released_weight
from heartify.lab.report import wording
from heartify.lab.report.number_text import (
    count_figure,
    estimate_figure,
    fixed_text,
    ratio_decimals,
    ratio_interval,
    scientific_text,
    se_decimals,
)
from heartify.lab.report.weights_table import Z_95, is_near_0_05
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import Purpose
from heartify.protocol.result import HospitalResult, StudyResult

ESTIMATES = st.tuples(st.floats(-6, 6), st.floats(1e-4, 5))


def literals(struct, field):
    """Return every string that the field's Literal allows."""

    def walk(hint):
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is typing.Literal:
            return set(arguments)
        return set().union(*map(walk, arguments)) if arguments else set()

    return walk(typing.get_type_hints(struct)[field])


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({int(code) for code in WithheldCode}, wording.WITHHELD),
        ({code.label for code in FailureCode}, wording.FAILED),
        ({role.label for role in PaymentRole}, wording.ROLES),
        ({purpose.value for purpose in Purpose}, wording.PURPOSES),
        (literals(HospitalResult, "reason"), wording.REASONS),
        (literals(HospitalResult, "status"), wording.STATUSES),
        (literals(StudyResult, "notes"), wording.NOTES),
        (set(range(1, 14)), wording.RULES),
    ],
    ids=["withheld", "failed", "roles", "purposes", "reasons", "statuses", "notes", "rules"],
)
def test_every_code_of_a_closed_list_has_words_and_no_other(known, words):
    assert known
    assert set(words) == known


def test_an_unknown_rule_or_unit_is_not_hidden():
    assert "no words for" in wording.rule_words(99)
    assert wording.unit_words("[IU]/L", indicator=False) == "1 [IU]/L"


@pytest.mark.parametrize(
    ("unit", "words"),
    [("a", "1 year"), ("/min", "1/min"), ("1", "1"), ("%", "1 percentage point"), ("mmol/L", "1 mmol/L")],
)
def test_a_unit_is_the_step_that_a_weight_is_for(unit, words):
    assert wording.unit_words(unit, indicator=False) == words


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((1.025, 0.9992, 1.0515), "1.025 (0.999 to 1.052)"),
        ((4.759, 3.216, 7.043), "4.76 (3.22 to 7.04)"),
        ((0.989763, 0.980307, 0.99931), "0.9898 (0.9803 to 0.9993)"),
        ((1.02, 1.0001, 1.04), "1.0200 (1.0001 to 1.0400)"),
        ((1.02, 0.9999, 1.04), "1.0200 (0.9999 to 1.0400)"),
        ((0.02, 0.001, 0.4), "0.020 (0.001 to 0.400)"),
        ((140.2, 33.5, 586.0), "140 (34 to 586)"),
        ((1.024e-9, 3.841e-10, 2.727e-9), "1.0 × 10⁻⁹ (3.8 × 10⁻¹⁰ to 2.7 × 10⁻⁹)"),
        ((None, None, None), "over 10¹²"),
        ((9.1e11, 1.2e11, None), "9.1 × 10¹¹ (1.2 × 10¹¹ to over 10¹²)"),
    ],
)
def test_a_ratio_is_shown_with_the_digits_of_its_interval(values, shown):
    assert ratio_interval(1.0, values, ratio_decimals(values)).shown == shown


def test_an_absurdly_small_ratio_is_said_to_be_small():
    assert ratio_interval(-40.0, (None, None, None), 2).shown == "under 10⁻¹²"


@given(ESTIMATES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_shown_interval_excludes_1_exactly_when_the_document_says_so(estimate):
    weight = build_released_weight("x", *estimate, 1.0)
    values = (weight.ratio, weight.ratio_ci_low, weight.ratio_ci_high)

    shown = ratio_interval(weight.beta, values, ratio_decimals(values))

    for figure, exact in ((shown.low, weight.ratio_ci_low), (shown.high, weight.ratio_ci_high)):
        text = figure.shown
        if exact is not None and abs(exact - 1) > 1e-6 and "×" not in text:
            assert (float(text) > 1, float(text) < 1) == (exact > 1, exact < 1)
            assert float(text) > 0


def test_estimates_keep_every_decimal_that_the_document_has():
    assert estimate_figure(0.0247, se_decimals(0.013, 3)).shown == "0.0247"
    assert estimate_figure(1.1, se_decimals(0.22, 3)).shown == "1.100"
    assert estimate_figure(-0.123456, 2).shown == "\N{MINUS SIGN}0.123456"
    assert estimate_figure(-2.5e7, 2).shown == "\N{MINUS SIGN}2.5 × 10⁷"


@pytest.mark.parametrize("exponent", range(-9, 6))
def test_a_power_of_ten_as_standard_error_has_the_digits_asked_for(exponent):
    se = float(f"1e{exponent}")

    assert se_decimals(se, 2) == max(0, 1 - exponent)


def test_zero_has_no_sign_and_counts_are_grouped_from_five_digits_on():
    assert fixed_text(-0.0001, 2) == "0.00"
    assert count_figure(9995).shown == "9995"
    assert count_figure(68470).shown == "68\N{NARROW NO-BREAK SPACE}470"
    assert scientific_text(-0.00012) == "\N{MINUS SIGN}1.2 × 10⁻⁴"


@given(st.floats(1.6, 2.4), st.floats(1e-3, 9))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_a_p_value_that_rounding_moved_across_0_05_is_marked(z, se):
    released = build_released_weight("x", z * se, se, 1.0)

    moved = (z >= Z_95) != (abs(released.z) >= Z_95)

    assert is_near_0_05(released.beta, released.se) or not moved


@pytest.mark.parametrize(("beta", "se"), [(0.0, 0.2), (1.56, 0.2), (-0.5, 0.1)])
def test_a_p_value_far_from_0_05_is_not_marked(beta, se):
    assert not is_near_0_05(beta, se)


def test_rounding_moves_a_p_value_near_0_05_by_no_more_than_the_page_says():
    moves = []
    for step in range(1000):
        se = 10 ** (step / 1000)
        released = build_released_weight("x", (1.96 + 0.02 * (step % 7 - 3)) * se, se, 1.0)
        moves.append(abs(2 * ndtr(-abs(released.z)) - 2 * ndtr(-(1.96 + 0.02 * (step % 7 - 3)))))

    moves.sort()

    assert moves[-1] <= 0.0205  # "at worst ±0.02"
    assert 0.005 <= moves[900] <= 0.0125  # "about ±0.01"


def test_colours_have_the_contrast_of_wcag_aa_in_both_themes():
    css = (resources.files("heartify.lab.report") / "templates" / "style.css").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in css.split("@media screen")]

    assert [len(theme) for theme in themes] == [13, 13]
    for theme in themes:
        papers = [theme[name] for name in ("paper", "faint", "warn-paper", "bad-paper", "note-paper")]
        for paper in papers:
            assert contrast(theme["ink"], paper) >= 7
            assert contrast(theme["soft"], paper) >= 4.5
        for name in ("mark", "truth", "yes", "no"):
            assert contrast(theme[name], theme["paper"]) >= 4.5, name


def contrast(one, other):
    """Return the contrast ratio of WCAG 2.2."""

    def luminance(colour):
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_words_are_plain_text_without_markup():
    explanations = [*wording.WITHHELD.values(), *wording.FAILED.values()]
    texts = [text for item in explanations for text in (item.meaning, item.advice)]

    assert all(text and "<" not in text for text in [*texts, *wording.NOTES.values(), *wording.REASONS.values()])
