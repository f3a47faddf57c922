"""What a Cox fit refuses, with the case beside it that it accepts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, RankDeficientError, SeparationError
from heartify.stats.chi_square import chi_square_test, ratio_test
from heartify.stats.survival import (
    BaselineHazard,
    SurvivalBlock,
    SurvivalColumns,
    Ties,
    baseline_hazards,
    fit_cox,
    hospital_clusters,
    join_parts,
    martingale_residuals,
    proportional_hazards_test,
    robust_covariance,
    robust_wald_test,
    survival_curve,
)

CANARY = 98765.4321


def _arrays(n=80, p=2, seed=0):
    rng = np.random.default_rng(seed)
    return {"X": rng.normal(size=(n, p)), "time": np.ceil(rng.exponential(30, n)), "event": rng.integers(0, 2, n)}


def _block(name="h", **changes):
    return SurvivalBlock(name, **{**_arrays(), **changes})


def _with(values, position, value):
    changed = np.array(values, dtype=float)
    changed[position] = value
    return changed


@pytest.mark.parametrize(
    "changes",
    [
        {"X": np.zeros(80)},
        {"X": np.zeros((79, 2))},
        {"X": _with(np.zeros((80, 2)), (3, 1), np.nan)},
        {"X": [["a", "b"]] * 80},
        {"time": _with(np.ones(80), 3, np.inf)},
        {"time": np.ones((80, 1))},
        {"time": np.ones(79)},
        {"event": _with(np.ones(80), 3, 0.5)},
        {"event": _with(np.ones(80), 3, np.nan)},
        {"event": _with(np.ones(80), 3, -1)},
        {"entry": _with(np.zeros(80), 3, np.nan)},
        {"entry": _with(np.zeros(80), 3, CANARY)},
        {"entry": _arrays()["time"]},
        {"stratum": np.ones(3, dtype=int)},
        {"stratum": np.full(80, 0.5)},
        {"name": ""},
        {"X": np.zeros((0, 2)), "time": np.zeros(0), "event": np.zeros(0)},
    ],
)
def test_a_block_of_wrong_arrays_is_refused_without_quoting_a_value(changes):
    assert _block().n == 80

    with pytest.raises(InvalidBlockError) as refusal:
        _block(**changes)

    assert "98765" not in str(refusal.value)


def test_a_block_is_a_frozen_copy_and_shows_no_rows():
    X = _arrays()["X"]
    block = _block(X=X)
    X[:] = CANARY

    assert not block.X.flags.writeable
    assert not block.time.flags.writeable
    assert "98765" not in re.sub("0x[0-9a-f]+", "", repr(block))
    assert block.X.max() < 10


@pytest.mark.parametrize(
    ("columns", "terms"),
    [
        ([np.zeros(79), np.zeros(80)], ("u", "v")),
        ([_with(np.zeros(80), 1, np.nan), np.zeros(80)], ("u", "v")),
        ([np.full(80, "x"), np.zeros(80)], ("u", "v")),
        ([_arrays()["X"][:, 0]], ("u", "v")),
        (list(_arrays()["X"].T), ("u",)),
    ],
)
def test_streamed_columns_that_do_not_fit_are_refused(columns, terms):
    arrays = _arrays()

    with pytest.raises(InvalidBlockError):
        fit_cox([SurvivalColumns("h", columns, arrays["time"], arrays["event"])], terms)


@pytest.mark.parametrize(
    ("blocks", "terms"),
    [
        ([], ("u", "v")),
        ([_block(), _block()], ("u", "v")),
        ([_block(), _block("g", X=_arrays(p=3)["X"])], ("u", "v")),
        ([_block()], ("u", "v", "w")),
        ([_block()], ("u",)),
        ([_block()], ("u", "u")),
        ([_block()], ()),
    ],
)
def test_blocks_and_names_that_do_not_fit_together_are_refused(blocks, terms):
    with pytest.raises(InvalidBlockError):
        fit_cox(blocks, terms)


def test_an_unknown_precision_is_refused():
    with pytest.raises(InvalidBlockError):
        fit_cox([_block()], ("u", "v"), precision="float16")


@pytest.mark.parametrize("code", [0, 2])
def test_nobody_with_the_event_of_interest_is_refused(code):
    with pytest.raises(DegenerateOutcomeError):
        fit_cox([_block(event=np.full(80, code))], ("u", "v"))


def test_everybody_with_the_event_and_a_hospital_without_events_are_accepted():
    blocks = [_block("a", event=np.ones(80, dtype=int)), _block("b", event=np.zeros(80, dtype=int))]

    fit = fit_cox(blocks, ("u", "v"))

    alone = fit_cox(blocks[:1], ("u", "v"))
    np.testing.assert_allclose(fit.coef, alone.coef, rtol=1e-9)
    assert fit.strata == 1
    assert martingale_residuals(fit, blocks)[1].any() == np.False_
    assert len(baseline_hazards(fit, blocks)) == 1


@pytest.mark.parametrize(
    "X",
    [
        np.column_stack([_arrays()["X"][:, 0], np.full(80, 7.3)]),
        np.column_stack([_arrays()["X"][:, 0], 3 * _arrays()["X"][:, 0] - 1]),
        np.zeros((80, 2)),
    ],
)
def test_constant_and_collinear_columns_are_refused(X):
    with pytest.raises(RankDeficientError):
        fit_cox([_block(X=X)], ("u", "v"))


def test_a_column_that_only_differs_between_hospitals_needs_a_shared_baseline():
    rng = np.random.default_rng(1)
    blocks = [
        SurvivalBlock(
            name, np.column_stack([rng.normal(size=80), np.full(80, level)]), _arrays()["time"], _arrays()["event"]
        )
        for name, level in (("a", 0.3), ("b", 1.7))
    ]

    fit = fit_cox(blocks, ("u", "level"), baseline=BaselineHazard.SHARED)

    assert fit.strata == 1
    with pytest.raises(RankDeficientError, match="level"):
        fit_cox(blocks, ("u", "level"))


def test_a_column_that_varies_only_where_nobody_is_at_risk_is_refused():
    time, event = np.arange(1.0, 81.0), np.ones(80, dtype=int)
    event[:20] = 0
    rare = np.where(np.arange(80) < 20, np.arange(80) % 2, 0.0)

    with pytest.raises(RankDeficientError, match="rare"):
        fit_cox([_block(X=np.column_stack([_arrays()["X"][:, 0], rare]), time=time, event=event)], ("u", "rare"))


def test_an_event_with_nobody_else_at_risk_says_nothing():
    event = np.zeros(80, dtype=int)
    event[79] = 1

    with pytest.raises(RankDeficientError):
        fit_cox([_block(time=np.arange(1.0, 81.0), event=event)], ("u", "v"))


@pytest.mark.parametrize("ties", Ties)
@pytest.mark.parametrize("delayed", [False, True])
def test_a_factor_that_every_event_has_is_refused_as_separation(ties, delayed):
    arrays = _arrays(300, seed=2)
    arrays["X"][:, 1] = np.where(arrays["event"] == 1, 1.0, np.arange(300) % 2)
    entry = arrays["time"] * 0.2 if delayed else None

    with pytest.raises(SeparationError):
        fit_cox([SurvivalBlock("h", **arrays, entry=entry)], ("u", "all events"), ties=ties)


def test_a_predictor_that_ranks_every_event_first_is_refused_as_separation():
    time = np.arange(1.0, 61.0)
    X = np.column_stack([-time + 0.2 * np.sin(time), np.cos(time)])

    with pytest.raises(SeparationError):
        fit_cox([SurvivalBlock("h", X, time, np.ones(60, dtype=int))], ("u", "v"))


def test_one_event_without_the_factor_ends_the_separation():
    arrays = _arrays(300, seed=2)
    arrays["X"][:, 1] = np.where(arrays["event"] == 1, 1.0, np.arange(300) % 2)
    arrays["X"][np.flatnonzero(arrays["event"])[0], 1] = 0.0

    fit = fit_cox([SurvivalBlock("h", **arrays)], ("u", "nearly all events"))

    assert np.isfinite(fit.coef).all()


def test_an_extreme_value_overflows_nothing():
    X = _arrays()["X"]
    X[5, 1] = 1e12

    fit = fit_cox([_block(X=X)], ("u", "v"))

    assert np.isfinite(fit.coef).all()


def test_two_rows_are_enough_for_a_stratum_and_one_is_harmless():
    big = _block("a")
    tiny = SurvivalBlock("b", [[0.0, 1.0]], [5.0], [1])

    fit, alone = fit_cox([big, tiny], ("u", "v")), fit_cox([big], ("u", "v"))

    np.testing.assert_allclose(fit.coef, alone.coef, rtol=1e-9)


def test_diagnostics_refuse_other_blocks():
    blocks = [_block()]
    fit = fit_cox(blocks, ("u", "v"))
    others = [_block("g")], [_block(event=np.ones(80, dtype=int), X=1e9 * _arrays()["X"])]

    for other in others:
        with pytest.raises(InvalidBlockError):
            martingale_residuals(fit, other)


def test_a_test_of_columns_that_the_fit_does_not_have_is_refused():
    fit = fit_cox([_block()], ("u", "v"))

    with pytest.raises(InvalidBlockError):
        proportional_hazards_test(fit, [_block()], terms={"grade": ["u", "grade2"]})


def test_time_that_does_not_vary_over_the_events_has_no_test_of_proportionality():
    block = _block(time=np.where(_arrays()["event"] == 1, 5.0, 9.0))
    fit = fit_cox([block], ("u", "v"))

    with pytest.raises(RankDeficientError):
        proportional_hazards_test(fit, [block])


@pytest.mark.parametrize("clusters", [[], [np.zeros(79, dtype=int)], [np.zeros(80)]])
def test_clusters_that_do_not_fit_the_rows_are_refused(clusters):
    fit = fit_cox([_block()], ("u", "v"))

    with pytest.raises(InvalidBlockError):
        robust_covariance(fit, [_block()], clusters)


def test_fewer_clusters_than_terms_have_no_joint_test():
    blocks = [_block("a"), _block("b", X=_arrays(seed=3)["X"])]
    fit = fit_cox(blocks, ("u", "v"), baseline=BaselineHazard.SHARED)
    covariance = robust_covariance(fit, blocks, hospital_clusters(blocks))

    with pytest.raises(RankDeficientError):
        robust_wald_test(fit, covariance)


@pytest.mark.parametrize(
    ("x", "times"),
    [(np.zeros(3), np.ones(2)), (np.array([np.nan, 0.0]), np.ones(2)), (np.zeros(2), np.array([np.nan]))],
)
def test_a_curve_for_wrong_covariates_or_times_is_refused(x, times):
    fit = fit_cox([_block()], ("u", "v"))
    (baseline,) = baseline_hazards(fit, [_block()])

    with pytest.raises(InvalidBlockError):
        survival_curve(fit, baseline, x, times)


def test_a_curve_starts_at_one():
    fit = fit_cox([_block()], ("u", "v"))
    (baseline,) = baseline_hazards(fit, [_block()])

    curve = survival_curve(fit, baseline, np.zeros(2), np.array([0.0, 1e9]))

    assert (curve.survival[0], curve.se[0], curve.ci_low[0], curve.ci_high[0]) == (1.0, 0.0, 1.0, 1.0)
    assert 0 <= curve.ci_low[1] <= curve.survival[1] <= curve.ci_high[1] <= 1


@pytest.mark.parametrize(
    "parts", [[], [_block(), _block("g", entry=np.zeros(80))], [_block(), _block("g", X=np.zeros((80, 1)))]]
)
def test_parts_that_do_not_belong_together_are_refused(parts):
    with pytest.raises(InvalidBlockError):
        join_parts(parts, "h")


@pytest.mark.parametrize("df", [1, 2, 7, 12])
def test_the_far_tail_of_chi_square_is_continuous_in_logarithms(df):
    near, far = chi_square_test(1300.0, df), chi_square_test(1400.0, df)

    # R: pchisq(2000, df, lower.tail = FALSE, log.p = TRUE) / log(10)
    expected = {1: -436.043273716, 2: -434.294481903, 7: -427.314972105, 12: -421.371488419}
    assert -50.0 / np.log(10) * 1.02 < far.log10_p - near.log10_p < -50.0 / np.log(10) * 0.9
    assert chi_square_test(2000.0, df).log10_p == pytest.approx(expected[df], abs=1e-8)
    assert chi_square_test(2000.0, df).p == 0.0


def test_a_likelihood_ratio_that_rounds_below_zero_counts_as_zero():
    assert ratio_test(-100.0, -100.0 + 1e-12, 3).p == 1.0
