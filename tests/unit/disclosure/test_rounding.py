from __future__ import annotations

import json
import math

import pytest

from heartify.disclosure import rounding


@pytest.mark.parametrize(("exact", "shown"), [(10, 10), (12, 10), (13, 15), (17, 15), (18, 20), (468, 470)])
def test_counts_go_to_the_nearest_5(exact, shown):
    assert rounding.round_count(exact) == shown


@pytest.mark.parametrize(
    ("coef", "se", "beta", "shown_se"),
    [
        (0.025050119825404, 0.0126283643610979, 0.0247, 0.013),
        (-2.70578761744862, 1.23297043890946, -2.76, 1.2),
        (0.04, 1.0, 0.0, 1.0),
        (1234567.0, 456.0, 1234548.0, 460.0),
        (-0.4, 9.96, 0.0, 10.0),
    ],
)
def test_an_estimate_goes_to_the_grid_of_a_tenth_of_its_rounded_se(coef, se, beta, shown_se):
    shown = rounding.round_estimate(coef, se)

    assert (shown.beta, shown.se) == (beta, shown_se)
    assert math.copysign(1, shown.beta) == (1 if shown.beta == 0 else math.copysign(1, coef))


def test_rounded_numbers_print_short():
    shown = rounding.round_estimate(0.3 + 1e-17, 0.1 / 3)

    assert json.dumps([shown.beta, shown.se, shown.z, *shown.ci]) == "[0.3003, 0.033, 9.1, 0.2356, 0.365]"


@pytest.mark.parametrize(
    ("coef", "se"), [(1.0, 0.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1e13, 1.0)]
)
def test_an_impossible_estimate_is_refused(coef, se):
    with pytest.raises(ValueError, match="not finite"):
        rounding.round_estimate(coef, se)


@pytest.mark.parametrize(
    ("z", "text"), [(0.0, "1.0"), (0.1, "0.92"), (-1.9, "0.057"), (2.6, "0.0093"), (3.2, "0.0014"), (3.3, "<0.001")]
)
def test_p_has_2_significant_digits_or_is_below_a_thousandth(z, text):
    assert rounding.p_text(z) == text


def test_a_ratio_of_absurd_size_is_absent():
    assert rounding.round_ratio(28.0, 2) is None
    assert rounding.round_ratio(-28.0, 2) is None
    assert rounding.round_ratio(0.69314718, 2) == 2.0


@pytest.mark.parametrize("sd", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_sd_is_refused(sd):
    with pytest.raises(ValueError, match="positive"):
        rounding.round_sd(sd)


@pytest.mark.parametrize("auc", [-0.1, 1.1, math.nan])
def test_an_impossible_auc_is_refused(auc):
    with pytest.raises(ValueError, match="between"):
        rounding.round_auc(auc)


def test_an_auc_has_2_decimals():
    assert rounding.round_auc(0.905971920110738) == 0.91


def test_the_sd_of_a_flag_does_not_tell_its_exact_count():
    shown = {rounding.two_valued_sd(1.0, 400 - ones, ones) for ones in (48, 49, 50, 51, 52)}

    assert len(shown) == 1
