from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from heartify.stats import InvalidBlockError, RankDeficientError, fit_pooled_logistic
from heartify.stats.missing import (
    ChainTrace,
    ImputationSpec,
    IncompleteTable,
    NeverMeasuredPolicy,
    binary,
    categorical,
    continuous,
    impute,
    pool_scalar,
    pool_vector,
    summarise_chains,
)
from heartify.stats.missing.convergence import rhat

SPEC = ImputationSpec(outcome=("y",), iterations=5)


def column(table: IncompleteTable, name: str) -> np.ndarray:
    return next(c.values for c in table.columns if c.name == name)


def test_imputations_agree_with_mice_within_simulation_error(
    gappy: IncompleteTable, mice: dict[str, Any], as_blocks: Any
) -> None:
    # mice(a, m=120, maxit=5, method=c('','','','','pmm','logreg','polyreg',''), seed=8)
    expected, m = mice["imputation"], 40
    statistics: dict[str, list[float]] = {key: [] for key in expected if key.startswith("imputed_")}
    estimates, covariances = [], []

    for done in impute(gappy, SPEC, m, np.random.default_rng(1)):
        new = {name: done.values[name][done.imputed[name]] for name in ("chol", "smoker", "grade")}
        statistics["imputed_chol_mean"].append(new["chol"].mean())
        statistics["imputed_chol_sd"].append(new["chol"].std(ddof=1))
        statistics["imputed_smoker"].append(new["smoker"].mean())
        statistics["imputed_grade1"].append((new["grade"] == 0).mean())
        statistics["imputed_grade2"].append((new["grade"] == 1).mean())
        fit = fit_pooled_logistic(as_blocks(done), ["age", "male", "sbp", "chol", "smoker", "grade2", "grade3"])
        estimates.append(fit.coef)
        covariances.append(fit.covariance)

    for name, values in statistics.items():
        error = np.hypot(np.std(values) / np.sqrt(m), expected[name]["sd"] / np.sqrt(expected["m"]))
        assert abs(np.mean(values) - expected[name]["mean"]) < 4 * error, name
    pooled = pool_vector(np.array(estimates), np.array(covariances), 1189)
    np.testing.assert_allclose((pooled.estimate - expected["estimate"]) / expected["se"], 0, atol=0.2)
    np.testing.assert_allclose([p.se for p in pooled.parameters], expected["se"], rtol=0.12)


def simulate(rng: np.random.Generator, slope: float, n: int = 300) -> tuple[IncompleteTable, np.ndarray]:
    """y = 0.5 + x + 0.5 z + e at two hospitals; x is missing more often where y is high: at random, given y."""
    z = (rng.random(n) < 0.4).astype(float)
    x = rng.normal(size=n) + 0.5 * z
    y = 0.5 + x + 0.5 * z + rng.normal(size=n)
    gap = rng.random(n) < 1 / (1 + np.exp(-(slope * y - 1.1)))
    columns = (continuous("x", np.where(gap, np.nan, x)), binary("z", z), continuous("y", y))
    return IncompleteTable(columns, np.arange(n) % 2, ("a", "b")), gap


def regress(x: np.ndarray, z: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    X = np.column_stack([np.ones(x.size), x, z])
    inverse = np.linalg.inv(X.T @ X)
    coef = inverse @ X.T @ y
    return float(coef[1]), float(((y - X @ coef) ** 2).sum() / (x.size - 3) * inverse[1, 1])


@pytest.mark.parametrize(
    ("spec", "slope", "least", "bias"),
    [
        # Matching at a third missing: 91 to 93 of 100 are expected of it, here and in mice (n = 300, m = 5).
        (ImputationSpec(outcome=("y",), iterations=2), 0.6, 86, 0.04),
        # Normal draws at half missing, mostly at one end: 95 of 100 (binomial SD 2.2).
        (ImputationSpec(outcome=("y",), iterations=2, gaussian=frozenset({"x"})), 1.2, 90, 0.12),
    ],
    ids=["matching", "gaussian"],
)
def test_pooled_intervals_cover_and_complete_cases_are_biased(
    spec: ImputationSpec, slope: float, least: int, bias: float
) -> None:
    rng = np.random.default_rng(20261122)
    covered, pooled, complete = 0, [], []
    for _ in range(100):
        table, gap = simulate(rng, slope)
        fits = [regress(done.values["x"], done.values["z"], done.values["y"]) for done in impute(table, spec, 5, rng)]
        answer = pool_scalar([q for q, _ in fits], [u for _, u in fits], 297)
        covered += answer.ci_low <= 1.0 <= answer.ci_high
        pooled.append(answer.estimate)
        complete.append(regress(*(column(table, name)[~gap] for name in ("x", "z", "y")))[0])

    assert covered >= least
    assert abs(np.mean(pooled) - 1.0) < 0.03
    assert np.mean(complete) < 1.0 - bias


def test_same_seed_gives_the_same_imputations_whatever_m(gappy: IncompleteTable) -> None:
    first = list(impute(gappy, SPEC, 3, np.random.default_rng(7)))
    again = list(islice(impute(gappy, SPEC, 50, np.random.default_rng(7)), 3))

    for one, other in zip(first, again, strict=True):
        assert one.number == other.number
        for name in one.values:
            np.testing.assert_array_equal(one.values[name], other.values[name])
    assert (first[0].values["chol"] != first[1].values["chol"]).any()


def test_observed_values_stay_and_imputed_ones_were_observed_somewhere(gappy: IncompleteTable) -> None:
    done = next(impute(gappy, SPEC, 1, np.random.default_rng(2)))

    for kept in gappy.columns:
        np.testing.assert_array_equal(done.values[kept.name][~kept.missing], kept.values[~kept.missing])
        assert np.isin(done.values[kept.name], kept.values[~kept.missing]).all()
        np.testing.assert_array_equal(done.imputed[kept.name], kept.missing)
    np.testing.assert_array_equal(done.rows, np.arange(gappy.n))


def test_unit_of_a_column_does_not_change_the_other_imputations(gappy: IncompleteTable) -> None:
    scaled = tuple(continuous("chol", c.values * 64.0) if c.name == "chol" else c for c in gappy.columns)

    done = next(impute(IncompleteTable(scaled, gappy.hospital, gappy.hospitals), SPEC, 1, np.random.default_rng(2)))

    expected = next(impute(gappy, SPEC, 1, np.random.default_rng(2)))
    np.testing.assert_allclose(done.values["chol"], expected.values["chol"] * 64.0, rtol=1e-12)
    np.testing.assert_array_equal(done.values["smoker"], expected.values["smoker"])


def test_hospitals_that_differ_are_imputed_differently() -> None:
    rng = np.random.default_rng(3)
    hospital, y = np.repeat([0, 1], 200), np.tile([0.0, 1.0], 200)
    x = rng.normal(size=400) + 10.0 * hospital
    x[rng.random(400) < 0.3] = np.nan
    table = IncompleteTable((continuous("x", x), binary("y", y)), hospital, ("low", "high"))

    done = next(impute(table, SPEC, 1, rng))

    new = done.imputed["x"]
    assert done.values["x"][new & (hospital == 0)].max() < 5 < done.values["x"][new & (hospital == 1)].min()


def test_delta_shifts_imputed_numbers_and_nothing_observed(gappy: IncompleteTable) -> None:
    spec = ImputationSpec(outcome=("y",), iterations=5, deltas={"chol": 1.5})

    shifted = list(impute(gappy, spec, 8, np.random.default_rng(4)))

    plain = list(impute(gappy, SPEC, 8, np.random.default_rng(4)))
    means = [np.mean([d.values["chol"][d.imputed["chol"]].mean() for d in runs]) for runs in (shifted, plain)]
    assert means[0] - means[1] == pytest.approx(1.5, abs=0.2)
    seen = ~shifted[0].imputed["chol"]
    np.testing.assert_array_equal(shifted[0].values["chol"][seen], plain[0].values["chol"][seen])


def test_delta_of_a_binary_column_moves_its_log_odds(gappy: IncompleteTable) -> None:
    spec = ImputationSpec(outcome=("y",), iterations=3, deltas={"smoker": 2.0})

    shares = [
        np.mean([d.values["smoker"][d.imputed["smoker"]].mean() for d in impute(gappy, s, 5, np.random.default_rng(5))])
        for s in (spec, SPEC)
    ]

    logits = [np.log(share / (1 - share)) for share in shares]
    assert 1.2 < logits[0] - logits[1] < 2.6


def test_column_never_measured_by_a_hospital_is_refused_by_name(gappy: IncompleteTable) -> None:
    table = without_chol_at_c(gappy)

    with pytest.raises(InvalidBlockError, match="c never measured chol"):
        impute(table, SPEC, 1, np.random.default_rng(0))


def test_hospital_that_never_measured_can_be_left_out(gappy: IncompleteTable) -> None:
    spec = ImputationSpec(outcome=("y",), iterations=2, never_measured=NeverMeasuredPolicy.LEAVE_OUT)

    done = next(impute(without_chol_at_c(gappy), spec, 1, np.random.default_rng(0)))

    assert done.hospitals == ("a", "b", "d")
    np.testing.assert_array_equal(done.rows, np.flatnonzero(gappy.hospital != 2))
    np.testing.assert_array_equal(done.values["age"], column(gappy, "age")[done.rows])
    assert not np.isnan(done.values["chol"]).any()


def test_leaving_out_every_hospital_is_refused() -> None:
    table = IncompleteTable(
        (continuous("x", [np.nan] * 4), binary("y", [0, 1, 0, 1])), np.array([0, 0, 1, 1]), ("a", "b")
    )
    spec = ImputationSpec(outcome=("y",), never_measured=NeverMeasuredPolicy.LEAVE_OUT)

    with pytest.raises(InvalidBlockError, match="none is left"):
        impute(table, spec, 1, np.random.default_rng(0))


def without_chol_at_c(table: IncompleteTable) -> IncompleteTable:
    columns = tuple(
        continuous("chol", np.where(table.hospital == 2, np.nan, c.values)) if c.name == "chol" else c
        for c in table.columns
    )
    return IncompleteTable(columns, table.hospital, table.hospitals)


def test_awkward_columns_are_imputed_all_the_same() -> None:
    """Duplicates, a constant, an empty level, perfect prediction and more predictors than rows."""
    rng = np.random.default_rng(9)
    n = 24
    x, y = rng.normal(size=n), np.tile([0.0, 1.0], n // 2)
    separated = (x > 0).astype(float)
    separated[:3], gap = -1, x.copy()
    gap[5:9] = np.nan
    codes = np.where(np.arange(n) % 2, 0, 2)
    codes[10:12] = -1
    extra = tuple(continuous(f"e{j}", rng.normal(size=n)) for j in range(30))
    columns = (
        continuous("x", x), continuous("copy", x), continuous("flat", np.ones(n)), binary("separated", separated),
        continuous("gap", gap), categorical("codes", codes, 3), binary("y", y), *extra,
    )  # fmt: skip

    done = next(impute(IncompleteTable(columns, np.zeros(n, dtype=int), ("a",)), SPEC, 1, rng))

    assert not any(np.isnan(values).any() for values in done.values.values())
    assert set(done.values["codes"]) == {0.0, 2.0}


def test_complete_table_comes_back_as_it_is() -> None:
    table = IncompleteTable((continuous("x", [1.0, 2.0]), binary("y", [0, 1])), np.array([0, 0]), ("a",))

    done = list(impute(table, SPEC, 2, np.random.default_rng(0)))

    np.testing.assert_array_equal(done[1].values["x"], [1, 2])
    assert done[0].trace.names == ()


def test_excluded_predictor_is_not_used() -> None:
    rng = np.random.default_rng(4)
    x, z, y = rng.normal(size=(3, 400))
    gap = np.where(rng.random(400) < 0.5, np.nan, x)
    columns = (continuous("gap", gap), continuous("twin", x), continuous("z", z), continuous("y", y))
    table = IncompleteTable(columns, np.zeros(400, dtype=int), ("a",))

    spec = ImputationSpec(outcome=("y",), iterations=1, excluded={"gap": frozenset({"twin"})})
    used, unused = (next(impute(table, s, 1, np.random.default_rng(1))) for s in (SPEC, spec))

    new = used.imputed["gap"]
    assert np.corrcoef(used.values["gap"][new], x[new])[0, 1] > 0.95
    assert abs(np.corrcoef(unused.values["gap"][new], x[new])[0, 1]) < 0.3


def test_chains_mix_and_say_so(gappy: IncompleteTable) -> None:
    spec = ImputationSpec(outcome=("y",), iterations=10)

    found = summarise_chains([done.trace for done in impute(gappy, spec, 6, np.random.default_rng(3))])

    assert found.names == ("grade", "smoker", "chol")
    assert found.mean.shape == found.sd.shape == (6, 10, 3)
    assert (found.mean_rhat < 1.4).all()


def test_rhat_of_chains_that_disagree_is_large() -> None:
    chains = np.random.default_rng(0).normal(size=(4, 20, 1)) + 5.0 * np.arange(4)[:, None, None]

    assert rhat(chains)[0] > 2


def test_rhat_of_chains_that_agree_is_near_one() -> None:
    assert rhat(np.random.default_rng(0).normal(size=(4, 400, 1)))[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 20, 2), (4, 2, 2)])
def test_rhat_of_too_little_is_unknown(shape: tuple[int, int, int]) -> None:
    assert np.isnan(rhat(np.random.default_rng(0).normal(size=shape))).all()


def test_traces_that_differ_are_refused() -> None:
    traces = [
        ChainTrace(("x",), np.ones((5, 1)), np.ones((5, 1))),
        ChainTrace(("z",), np.ones((5, 1)), np.ones((5, 1))),
    ]

    with pytest.raises(InvalidBlockError):
        summarise_chains(traces)


@pytest.mark.parametrize(
    "arguments",
    [
        {"outcome": ()},
        {"iterations": 0},
        {"donors": 0},
        {"ridge": 0.0},
        {"excluded": {"chol": frozenset({"y"})}},
        {"deltas": {"chol": float("nan")}},
    ],
)
def test_specs_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidBlockError):
        ImputationSpec(**{"outcome": ("y",), **arguments})


@pytest.mark.parametrize(
    "spec",
    [
        ImputationSpec(outcome=("nothing",)),
        ImputationSpec(outcome=("y",), deltas={"nothing": 1.0}),
        ImputationSpec(outcome=("y",), excluded={"chol": frozenset({"nothing"})}),
        ImputationSpec(outcome=("y",), deltas={"grade": 1.0}),
        ImputationSpec(outcome=("y",), gaussian=frozenset({"smoker"})),
        ImputationSpec(outcome=("y",), gaussian=frozenset({"nothing"})),
    ],
)
def test_specs_that_do_not_fit_the_table_are_refused_before_any_imputation(
    gappy: IncompleteTable, spec: ImputationSpec
) -> None:
    with pytest.raises(InvalidBlockError):
        impute(gappy, spec, 1, np.random.default_rng(0))


def test_no_imputations_are_refused(gappy: IncompleteTable) -> None:
    with pytest.raises(InvalidBlockError):
        impute(gappy, SPEC, 0, np.random.default_rng(0))


@pytest.mark.parametrize("values", [[3.0, 3.0, np.nan, 3.0]])
def test_column_whose_observed_values_do_not_vary_is_named(values: list[float]) -> None:
    table = IncompleteTable((continuous("flat", values), binary("y", [0, 1, 0, 1])), np.zeros(4, dtype=int), ("a",))

    with pytest.raises(RankDeficientError, match="flat"):
        impute(table, SPEC, 1, np.random.default_rng(0))
