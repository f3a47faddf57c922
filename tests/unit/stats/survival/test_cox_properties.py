"""What must not change a Cox fit, what must change it in a known way, and a plain definition of the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats.survival import (
    BaselineHazard,
    SurvivalBlock,
    SurvivalColumns,
    Ties,
    fit_cox,
    join_parts,
    martingale_residuals,
)
from heartify.stats.survival import cox as cox_module
from heartify.stats.survival.cox_sums import cox_sums, start_passes, weighted_information
from heartify.stats.survival.design import build_design
from heartify.stats.survival.monotone import risk_set_maximum
from heartify.stats.survival.risk_sets import build_risk_sets

TERMS = ("u", "v", "w")
SEEDS = st.integers(0, 2**32 - 1)


def _block(seed, n=160, *, name="h", days=20, delayed=True, strata=None):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(50, 10, n), rng.integers(0, 2, n), rng.normal(size=n)])
    time = np.ceil(days * rng.exponential(np.exp(-0.02 * (X[:, 0] - 50) - 0.4 * X[:, 1])))
    event = rng.choice([0, 1, 1, 2], n)
    entry = np.where(rng.random(n) < 0.4, time * rng.random(n) * 0.9, 0.0) if delayed else None
    return SurvivalBlock(name, X, time, event, entry, rng.integers(0, strata, n) if strata else None)


def _take(block, rows, name=None):
    return SurvivalBlock(
        name or block.name,
        block.X[rows],
        block.time[rows],
        block.event[rows],
        None if block.entry is None else block.entry[rows],
        None if block.stratum is None else block.stratum[rows],
    )


def _same(fit, other, tolerance=1e-9):
    np.testing.assert_allclose(fit.coef, other.coef, atol=tolerance * fit.se.min(), rtol=tolerance)
    np.testing.assert_allclose(fit.covariance, other.covariance, rtol=1e-7, atol=1e-16)
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-11)


def _plain_sums(X, time, event, entry, beta, ties):
    """The definition, event time by event time."""
    loglik, gradient, information = 0.0, np.zeros(beta.size), np.zeros((beta.size, beta.size))
    risk = np.exp(X @ beta)
    for t in np.unique(time[event == 1]):
        at_risk, dead = (entry < t) & (time >= t), (time == t) & (event == 1)
        d = dead.sum()
        for number in range(d):
            share = number / d if ties is Ties.EFRON else 0.0
            weight = risk * (at_risk - share * dead)
            mean = X.T @ weight / weight.sum()
            loglik -= np.log(weight.sum())
            gradient -= mean
            information += (X.T * weight) @ X / weight.sum() - np.outer(mean, mean)
        loglik += (X[dead] @ beta).sum()
        gradient += X[dead].sum(axis=0)
    return loglik, gradient, information


@settings(max_examples=10, deadline=None)
@given(
    seed=SEEDS,
    ties=st.sampled_from(list(Ties)),
    chunk=st.sampled_from([3, 17, 64, 8192]),
    days=st.sampled_from([3, 5000]),
)
def test_sums_equal_their_definition_for_any_chunk_size(seed, ties, chunk, days):
    block = _block(seed, n=90, days=days)
    design = build_design([block], TERMS, BaselineHazard.PER_HOSPITAL)
    slopes = np.array([0.3, -0.2, 0.1])
    Z = (block.X - block.X.mean(axis=0)) / design.scale

    found = cox_sums(design.strata, slopes, ties, chunk=chunk)

    loglik, gradient, information = _plain_sums(Z, block.time, block.event, block.entry, slopes, ties)
    assert found.loglik == pytest.approx(loglik, rel=1e-11)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-9)
    np.testing.assert_allclose(found.information, information, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, ties=st.sampled_from(list(Ties)))
def test_unit_weights_give_the_information_itself_in_any_chunks(seed, ties):
    design = build_design([_block(seed, n=90)], TERMS, BaselineHazard.PER_HOSPITAL)
    slopes = np.array([0.3, -0.2, 0.1])
    (part,) = start_passes(design.strata, slopes, ties, chunk=16)

    found = weighted_information(part, np.ones(part.stratum.sets.times.size), chunk=16)

    np.testing.assert_allclose(found, cox_sums(design.strata, slopes, ties).information, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_order_of_rows_and_of_hospitals_does_not_matter(seed):
    blocks = [_block(seed, name="a", strata=2), _block(seed + 1, name="b", strata=3)]
    rng = np.random.default_rng(seed)
    shuffled = [_take(block, rng.permutation(block.n)) for block in reversed(blocks)]

    _same(fit_cox(blocks, TERMS), fit_cox(shuffled, TERMS))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_a_hospital_in_parts_gives_the_same_fit_when_they_are_joined_or_share_a_baseline(seed):
    whole = _block(seed)
    cut = np.random.default_rng(seed).integers(1, whole.n)
    parts = [_take(whole, np.arange(cut), "first"), _take(whole, np.arange(cut, whole.n), "second")]

    fit = fit_cox([whole], TERMS)

    _same(fit, fit_cox([join_parts(parts, "h")], TERMS))
    _same(fit, fit_cox(parts, TERMS, baseline=BaselineHazard.SHARED))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, factor=st.sampled_from([1e-6, 0.02586, 18.0, 1e5]), shift=st.sampled_from([0.0, -3.0, 1e4]))
def test_a_change_of_unit_only_rescales_its_coefficient(seed, factor, shift):
    block = _block(seed)
    X = block.X * [factor, 1.0, 1.0] + [shift, 0.0, shift]

    fit = fit_cox([block], TERMS)
    other = fit_cox([SurvivalBlock("h", X, block.time, block.event, block.entry)], TERMS)

    tolerance = 1e-6 if shift else 1e-9  # the shifted values themselves are rounded
    np.testing.assert_allclose(other.coef * [factor, 1, 1], fit.coef, atol=fit.se.min() * tolerance, rtol=tolerance)
    assert other.loglik == pytest.approx(fit.loglik, rel=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_any_monotone_change_of_the_time_scale_gives_the_same_fit(seed):
    block = _block(seed)
    other = SurvivalBlock("h", block.X, block.time**3, block.event, block.entry**3)

    _same(fit_cox([block], TERMS), fit_cox([other], TERMS))


@pytest.mark.parametrize("ties", Ties)
def test_any_number_of_threads_gives_the_same_bits(ties):
    blocks = [_block(1, n=30_000, name="a", days=400), _block(2, n=20_000, name="b", days=400, strata=2)]

    fits = [fit_cox(blocks, TERMS, ties=ties, threads=threads) for threads in (1, 2, 3)]

    for fit in fits[1:]:
        assert (fit.coef == fits[0].coef).all()
        assert (fit.covariance == fits[0].covariance).all()
        assert fit.loglik == fits[0].loglik


def test_columns_read_once_give_the_same_bits_as_a_block():
    block = _block(3)
    source = SurvivalColumns("h", (column for column in block.X.T), block.time, block.event, block.entry)

    fit, other = fit_cox([block], TERMS), fit_cox([source], TERMS)

    assert (fit.coef == other.coef).all()
    assert (source.n, source.events) == (block.n, block.events)


def test_a_float32_copy_stays_within_a_millionth_of_a_standard_error():
    block = _block(4, n=5000, days=300)

    fit, half = fit_cox([block], TERMS), fit_cox([block], TERMS, precision="float32")

    assert 0 < np.max(np.abs(fit.coef - half.coef) / fit.se) < 1e-5


def test_a_warm_start_from_a_subsample_changes_nothing_but_the_number_of_passes(monkeypatch):
    block = _block(5, n=8000, days=300, strata=2)
    cold = fit_cox([block], TERMS)
    monkeypatch.setattr(cox_module, "WARM_START_ROWS", 1000)

    warm = fit_cox([block], TERMS)

    _same(cold, warm)
    assert warm.iterations <= cold.iterations


@pytest.mark.parametrize("events", [3, 20])
def test_a_subsample_without_a_finite_maximum_falls_back_to_a_cold_start(monkeypatch, events):
    block = _block(5, n=400, delayed=False)
    event = np.where(np.cumsum(block.event == 1) <= events, block.event == 1, 0)
    few = SurvivalBlock("h", block.X[:, :1], block.time, event)
    cold = fit_cox([few], TERMS[:1])
    monkeypatch.setattr(cox_module, "WARM_START_ROWS", 10)

    _same(cold, fit_cox([few], TERMS[:1]))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, delayed=st.booleans())
def test_the_maximum_of_each_risk_set_equals_its_definition(seed, delayed):
    block = _block(seed, n=60, delayed=delayed)
    order = np.argsort(block.time)
    time, event = block.time[order], block.event[order] == 1
    entry = block.entry[order] if delayed else None
    values = block.X[order, 2]

    found = risk_set_maximum(build_risk_sets(time, event, entry), values)

    start = entry if delayed else np.full(60, -1.0)
    expected = [values[(start < t) & (time >= t)].max() for t in np.unique(time[event])]
    np.testing.assert_array_equal(found, expected)


def test_competing_events_are_censored_and_entry_at_minus_infinity_is_no_entry():
    block = _block(6, delayed=False)
    censored = SurvivalBlock("h", block.X, block.time, block.event == 1, np.full(block.n, -np.inf))

    _same(fit_cox([block], TERMS), fit_cox([censored], TERMS))


def test_expected_events_of_each_stratum_add_up_to_its_events():
    blocks = [_block(7, name="a"), _block(8, name="b")]
    fit = fit_cox(blocks, TERMS)

    residuals = martingale_residuals(fit, blocks)

    assert [abs(part.sum()) < 1e-8 for part in residuals] == [True, True]


def test_a_risk_set_of_nothing_but_its_own_events_loses_no_precision():
    # 2,000 events at one last time, of nobody else at risk: Efron's terms then differ by factors of thousands.
    rng = np.random.default_rng(9)
    X = rng.normal(size=(2100, 1)) + 100.0
    time = np.concatenate((np.arange(1.0, 101.0), np.full(2000, 200.0)))
    block = SurvivalBlock("h", X, time, np.ones(2100, dtype=int))
    design = build_design([block], ("u",), BaselineHazard.PER_HOSPITAL)
    Z = (X - X.mean(axis=0)) / design.scale

    found = cox_sums(design.strata, np.array([0.5]), Ties.EFRON)

    loglik, gradient, information = _plain_sums(Z, time, block.event, np.zeros(2100), np.array([0.5]), Ties.EFRON)
    assert found.loglik == pytest.approx(loglik, rel=1e-12)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-9)
    np.testing.assert_allclose(found.information, information, rtol=1e-9)


def test_intervals_cover_the_truth_in_95_percent_of_simulated_cohorts():
    truth = np.array([0.7, -0.4])
    covered, estimates = np.zeros(2), []
    for seed in range(150):
        rng = np.random.default_rng([20261122, seed])
        X = np.column_stack([rng.normal(size=250), rng.integers(0, 2, 250)])
        death, censored = rng.exponential(np.exp(-X @ truth)), rng.exponential(2.0, 250)
        time = np.minimum(death, censored)
        fit = fit_cox([SurvivalBlock("h", X, time, death <= censored)], ("u", "v"))
        covered += np.abs(fit.coef - truth) <= 1.959964 * fit.se
        estimates.append(fit.coef)

    # 150 draws of a 95 % interval: 142.5 expected, standard deviation 2.7; the limits are 3.5 of them away.
    assert (covered >= 133).all()
    mean, spread = np.mean(estimates, axis=0), np.std(estimates, axis=0) / np.sqrt(150)
    assert (np.abs(mean - truth) < 4 * spread + 0.02).all()
