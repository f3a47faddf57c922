"""The logistic score test against statmod::glm.scoretest, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, SeparationError, StatsError
from heartify.stats.screening import (
    CandidateBlock,
    CandidateState,
    ScreenOptions,
    adjust_pooled,
    fit_null,
    logistic_score_sums,
    null_at,
    profile,
    raw_sums,
    screen,
)


def _cardio(read_columns):
    data = read_columns("cardio_train.csv", ";")
    columns = {
        "age_y": data["age"] / 365.25,
        "male": (data["gender"] == 2).astype(float),
        "bmi": data["weight"] / (data["height"] / 100) ** 2,
        **{name: data[name] for name in ("height", "weight", "ap_hi", "ap_lo", "smoke", "alco", "active")},
        **{f"chol{level}": (data["cholesterol"] == level).astype(float) for level in (2, 3)},
        **{f"gluc{level}": (data["gluc"] == level).astype(float) for level in (2, 3)},
    }
    height, weight, high, low = (columns[name] for name in ("height", "weight", "ap_hi", "ap_lo"))
    keep = (height >= 140) & (height <= 210) & (weight >= 40) & (weight <= 200)
    keep &= (high >= 80) & (high <= 240) & (low >= 40) & (low <= 160) & (low < high)
    return {name: column[keep] for name, column in columns.items()}, data["cardio"][keep]


@pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-9), ("single", 1e-4)])
def test_cardio_equals_statmod_on_real_data(truth, read_columns, precision, tolerance):
    expected = truth["cardio70k"]["score_screen"]  # statmod::glm.scoretest(glm(cardio ~ age_y + male), g)
    columns, y = _cardio(read_columns)
    names = tuple(expected["z"])
    null = fit_null([CohortBlock("all", np.column_stack([columns["age_y"], columns["male"]]), y)], ["age", "male"])
    G = np.column_stack([columns[name] for name in names])

    found = screen(null, [CandidateBlock(names, (G,))], ScreenOptions(precision=precision))

    np.testing.assert_allclose(found.z, list(expected["z"].values()), atol=tolerance)
    if precision == "double":
        np.testing.assert_allclose(found.u, list(expected["U"].values()), rtol=1e-6)
        np.testing.assert_allclose(found.V, list(expected["V"].values()), rtol=1e-6)
        np.testing.assert_allclose(found.beta, list(expected["beta_onestep"].values()), rtol=1e-6)


def test_four_hospitals_equal_statmod_with_hospital_dummies(r, null, candidates):
    expected = r["logistic"]  # glm.scoretest(glm(y ~ age + male + hospital, binomial), g)

    found = screen(null, [candidates(expected["names"])], ScreenOptions(robust=True))

    np.testing.assert_allclose(found.z, expected["z"], atol=1e-9)
    np.testing.assert_allclose(found.u, expected["u"], rtol=1e-9)
    np.testing.assert_allclose(found.V, expected["V"], rtol=1e-9)
    np.testing.assert_allclose(found.z_robust, expected["z_robust"], atol=1e-9)  # residuals of lm.wfit
    assert found.tested == 6
    assert (found.n == 1200).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_single_precision_is_within_1e4_of_double(dtype, order):
    rng = np.random.default_rng(5)
    X = rng.normal(60, 10, (9000, 2))
    y = (rng.random(9000) < 0.3).astype(float)
    G = rng.normal(size=(9000, 40)) * np.geomspace(1e-6, 1e9, 40) + 50.0 * np.geomspace(1e-6, 1e9, 40)
    G[:, :3] = rng.random((9000, 3)) < 0.01
    G[:, 3] = X[:, 0] + 1e-2 * rng.normal(size=9000)
    null = fit_null([CohortBlock("one", X[:5000], y[:5000]), CohortBlock("two", X[5000:], y[5000:])], ["a", "b"])
    names = tuple(f"g{j}" for j in range(40))
    G = np.array(G, dtype=dtype, order=order)
    block = CandidateBlock(names, (G[:5000], G[5000:]))

    single = screen(null, [block], ScreenOptions(precision="single"))
    double = screen(null, [block])

    np.testing.assert_allclose(single.z, double.z, atol=1e-4)
    np.testing.assert_array_equal(single.state, double.state)


def test_counts_in_int8_equal_doubles_and_minus_128_is_missing(null, cohort, candidates):
    counts = candidates(["smoker", "g2"], dtype=np.int8)
    holes = tuple(part.copy() for part in counts.parts)
    holes[0][:20, 0] = -128
    doubles = tuple(np.where(part == -128, np.nan, part.astype(float)) for part in holes)

    whole = screen(null, [counts], ScreenOptions(precision="single"))
    missing = screen(null, [CandidateBlock(counts.names, holes)], ScreenOptions(precision="single"))

    np.testing.assert_allclose(whole.z, screen(null, [candidates(["smoker", "g2"])]).z, atol=1e-4)
    np.testing.assert_allclose(missing.z, screen(null, [CandidateBlock(counts.names, doubles)]).z, atol=1e-4)
    assert list(missing.n) == [1180, 1200]


@pytest.mark.parametrize("seed", range(3))
def test_row_order_changes_nothing(null, candidates, seed):
    block = candidates(["sbp", "chol", "noise"])
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n) for n in null.rows]
    mixed = [CohortBlock(b.name, b.X[o], b.y[o]) for b, o in zip(null.blocks, orders, strict=True)]
    parts = tuple(part[o] for part, o in zip(block.parts, orders, strict=True))

    found = screen(fit_null(mixed, ["age", "male"]), [CandidateBlock(block.names, parts)])

    np.testing.assert_allclose(found.z, screen(null, [block]).z, rtol=1e-10)


@pytest.mark.parametrize("factor", [1e-7, 3.0, 1e9])
def test_factor_scaling_changes_beta_and_not_z(null, candidates, factor):
    block = candidates(["sbp", "chol"])
    scaled = CandidateBlock(block.names, tuple(part * factor + 5 * factor for part in block.parts))

    plain, found = screen(null, [block]), screen(null, [scaled])

    np.testing.assert_allclose(found.z, plain.z, rtol=1e-9)
    np.testing.assert_allclose(found.beta * factor, plain.beta, rtol=1e-9)
    np.testing.assert_allclose(found.beta_per_sd, plain.beta_per_sd, rtol=1e-9)


@pytest.mark.parametrize(("cut", "robust"), [(1, True), (17, False), (300, True)])
def test_a_hospital_in_two_parts_adds_up_to_the_whole(null, candidates, cut, robust):
    part = candidates(["sbp", "chol", "smoker"]).parts[0]
    block = null.blocks[0]
    halves = [
        null_at(null.fit, [CohortBlock("a", block.X[rows], block.y[rows])], null.standard).strata[0]
        for rows in (slice(None, cut), slice(cut, None))
    ]
    shift, scale = np.array([130.0, 5.0, 0.0]), np.array([0.0625, 1.0, 1.0])

    whole = raw_sums(null.strata[0], part, shift, scale, robust=robust)
    first = raw_sums(halves[0], part[:cut], shift, scale, robust=robust)
    added = first + raw_sums(halves[1], part[cut:], shift, scale, robust=robust)

    np.testing.assert_allclose(added.linear, whole.linear, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(added.square, whole.square, rtol=1e-10)
    np.testing.assert_array_equal(added.low, whole.low)
    np.testing.assert_array_equal(added.high, whole.high)
    found, expected = profile(null.strata[0], added), profile(null.strata[0], whole)
    names = ("u", "d", "A", "mean", "squares", *(("meat_d", "meat_cross") if robust else ()))
    for name in names:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-8, atol=1e-9)


def test_sums_of_differently_shifted_candidates_do_not_add(null, candidates):
    part = candidates(["sbp"]).parts[0]
    one = raw_sums(null.strata[0], part, np.zeros(1), np.ones(1))
    other = raw_sums(null.strata[0], part, np.ones(1), np.ones(1))

    with pytest.raises(InvalidBlockError, match="equally shifted"):
        one + other


def test_hospital_sums_merge_to_the_pooled_test_in_any_order(null, candidates):
    block = candidates(["sbp", "chol"])
    backwards = fit_null(null.blocks[::-1], ["age", "male"])

    found = adjust_pooled(logistic_score_sums(backwards, CandidateBlock(block.names, block.parts[::-1])))

    expected = adjust_pooled(logistic_score_sums(null, block))
    np.testing.assert_allclose(found.u, expected.u, rtol=1e-9)
    np.testing.assert_allclose(found.V, expected.V, rtol=1e-9)


def test_candidates_without_information_are_named_and_not_tested(null, candidates, cohort):
    block = candidates(["age", "sbp", "noise", "chol"])
    values = [part.copy() for part in block.parts]
    for h, part in enumerate(values):
        part[:, 1] = h  # constant within each hospital
        part[:, 2] = 2 * part[:, 0] - 1  # a combination of the base
    found = screen(null, [CandidateBlock(block.names, tuple(values))], ScreenOptions(precision="single"))

    assert [CandidateState(s).name for s in found.state] == ["COLLINEAR", "CONSTANT", "COLLINEAR", "TESTED"]
    assert np.isnan(found.z[:3]).all()
    assert np.isnan(found.bh[:3]).all()
    assert found.tested == 1
    assert found.bonferroni[3] == pytest.approx(found.p[3])


def test_a_hospital_without_events_is_left_out_and_changes_nothing(null, candidates):
    block = candidates(["sbp", "chol"])
    empty = CohortBlock("e", np.array([[50.0, 1.0], [60.0, 0.0], [70.0, 1.0]]), np.zeros(3))
    wider = fit_null([*null.blocks, empty], ["age", "male"])
    parts = (*block.parts, np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]))

    found = screen(wider, [CandidateBlock(block.names, parts)])

    assert found.hospitals_left_out == ("e",)
    np.testing.assert_allclose(found.z, screen(null, [block]).z, rtol=1e-12)


def test_a_null_of_hospital_intercepts_alone_is_possible(null, candidates, cohort):
    blocks = [CohortBlock(block.name, np.empty((block.n, 0)), block.y) for block in null.blocks]

    found = screen(fit_null(blocks, []), [candidates(["smoker"])])

    # the score test of one factor in strata is Mantel and Haenszel's, but for n - 1 in place of n
    u = v = 0.0
    for h, block in zip("abcd", blocks, strict=True):
        g = cohort["smoker"][cohort["hospital"] == h]
        u += g @ (block.y - block.y.mean())
        v += block.y.var() * np.sum((g - g.mean()) ** 2)
    assert found.z[0] == pytest.approx(u / np.sqrt(v), rel=1e-10)


def test_blocks_that_do_not_fit_are_refused(null, candidates):
    block = candidates(["sbp"])

    with pytest.raises(InvalidBlockError, match="differ in hospitals or rows"):
        screen(null, [CandidateBlock(("sbp",), block.parts[:2])])
    with pytest.raises(InvalidBlockError, match="expected parts"):
        CandidateBlock(("sbp", "x"), block.parts)
    with pytest.raises(InvalidBlockError, match="int64"):
        CandidateBlock(("sbp",), tuple(part.astype(np.int64) for part in block.parts))
    with pytest.raises(InvalidBlockError, match="distinct"):
        CandidateBlock(("sbp", "sbp"), block.parts)
    with pytest.raises(InvalidBlockError, match="one part for each hospital"):
        CandidateBlock(("sbp",), ())


def test_an_infinite_value_is_refused_without_quoting_it(null, candidates):
    parts = [part.copy() for part in candidates(["sbp"]).parts]
    parts[1][3] = np.inf

    with pytest.raises(InvalidBlockError, match="'sbp' has infinite values"):
        screen(null, [CandidateBlock(("sbp",), tuple(parts))])


def test_a_separated_null_is_refused():
    X = np.arange(20.0)[:, None]

    with pytest.raises(SeparationError):
        fit_null([CohortBlock("a", X, (X[:, 0] > 9).astype(float))], ["x"])


def test_a_null_is_not_evaluated_on_blocks_of_another_width(null):
    with pytest.raises(StatsError, match="base covariates"):
        null_at(null.fit, [CohortBlock("a", np.ones((3, 5)), np.array([0.0, 1.0, 0.0]))])
