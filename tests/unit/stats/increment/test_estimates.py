"""IDI, NRI and the whole increment, against Hmisc::improveProb and the published cardio reference."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, DegenerateOutcomeError, InvalidBlockError, NotConvergedError
from heartify.stats.increment import (
    INCREMENT_MEASURES,
    INTERVAL_MEASURES,
    IncrementEstimates,
    bootstrap_intervals,
    categorical_reclassification,
    continuous_reclassification,
    increment_estimates,
    increment_of_columns,
    integrated_discrimination,
)
from heartify.stats.performance import calibration, compare_unnested_aucs, delong_auc


def _expect_parts(found, expected):
    for part in ("events", "nonevents"):
        assert getattr(found, part).value == pytest.approx(expected[f"nri_{part}"], abs=1e-12)
        assert getattr(found, part).se == pytest.approx(expected[f"nri_{part}_se"], rel=1e-9)
    assert found.total.value == pytest.approx(expected["nri"], abs=1e-12)
    assert found.total.se == pytest.approx(expected["nri_se"], rel=1e-9)
    assert found.events_up == pytest.approx(expected["up_events"], abs=1e-12)
    assert found.events_down == pytest.approx(expected["down_events"], abs=1e-12)


def test_continuous_reclassification_equals_improve_prob(split, referee):
    found = continuous_reclassification(split.p_base, split.p, split.y)

    _expect_parts(found, referee["improve"]["continuous"])  # Hmisc::improveProb(p_base, p_new, y)


def test_categorical_reclassification_equals_improve_prob(split, referee):
    expected = referee["improve"]  # improveProb(findInterval(p_base, c(.45, .6)) / 3, findInterval(p, ...) / 3, y)

    found = categorical_reclassification(split.p_base, split.p, split.y, (0.45, 0.6))

    _expect_parts(found.net, expected["categorical"])
    assert found.event_counts.tolist() == expected["table_events"]
    assert found.nonevent_counts.tolist() == expected["table_nonevents"]


def test_discrimination_improvement_equals_improve_prob(split, referee):
    expected = referee["improve"]["continuous"]  # Hmisc::improveProb(p_base, p_new, y)

    found = integrated_discrimination(split.p_base, split.p, split.y)

    assert found.total.value == pytest.approx(expected["idi"], abs=1e-12)
    assert found.total.se == pytest.approx(expected["idi_se"], rel=1e-8)
    assert found.events.value == pytest.approx(expected["idi_events"], abs=1e-12)
    assert found.nonevents.value == pytest.approx(expected["idi_nonevents"], abs=1e-12)
    slopes = [p[split.y == 1].mean() - p[split.y == 0].mean() for p in (split.p_base, split.p)]
    assert found.relative == pytest.approx(slopes[1] / slopes[0] - 1)


def test_cholesterol_on_the_cardio_test_rows_equals_the_published_reference(truth, cardio_split):
    expected = truth["cardio70k"]["increment_chol"]
    benefit = expected["net_benefit"]
    rows = (cardio_split.p_base, cardio_split.p_new, cardio_split.y)

    found = increment_estimates(*rows, cutoffs=expected["cat_nri_cutoffs"], thresholds=benefit["threshold"])

    assert found.auc_base.auc == pytest.approx(expected["test_auc_base"], abs=1e-9)
    assert found.auc_new.auc == pytest.approx(expected["test_auc_new"], abs=1e-9)
    assert found.auc_difference.value / found.auc_difference.se == pytest.approx(expected["delong_z"], abs=1e-6)
    assert found.idi.total.value == pytest.approx(expected["idi"], abs=1e-9)
    assert found.continuous_nri.events.value == pytest.approx(expected["cont_nri_events"], abs=1e-9)
    assert found.continuous_nri.nonevents.value == pytest.approx(expected["cont_nri_nonevents"], abs=1e-9)
    assert found.categorical_nri.net.events.value == pytest.approx(expected["cat_nri_events"], abs=1e-9)
    assert found.categorical_nri.net.nonevents.value == pytest.approx(expected["cat_nri_nonevents"], abs=1e-9)
    assert [point.base for point in found.net_benefit] == pytest.approx(benefit["base"], abs=1e-9)
    assert [point.new for point in found.net_benefit] == pytest.approx(benefit["new"], abs=1e-9)


def test_calibration_on_the_cardio_test_rows_equals_the_published_reference(truth, cardio_split):
    expected = truth["cardio70k"]["split"]

    found = calibration(cardio_split.p_new, cardio_split.y)

    assert found.slope.value == pytest.approx(expected["cal_slope"], abs=1e-7)
    assert found.slope.se == pytest.approx(expected["cal_slope_se"], rel=1e-5)
    assert found.in_the_large.value == pytest.approx(expected["cal_intercept_in_large"], abs=1e-8)
    assert found.observed_expected.value == pytest.approx(expected["O_E"], abs=1e-9)
    assert delong_auc(cardio_split.p_new, cardio_split.y).auc == pytest.approx(expected["test_auc"], abs=1e-9)


def test_the_estimates_of_an_increment_hold_no_p_value(split):
    found = increment_estimates(split.p_base, split.p, split.y, cutoffs=[0.5])

    assert isinstance(found, IncrementEstimates)
    for part in (found.auc_difference, found.idi, found.continuous_nri, found.categorical_nri.net):
        assert not {"p", "z", "log10_p"} & set(type(part).__slots__)
    assert "p" in type(compare_unnested_aucs(split.p, split.p_base, split.y)).__slots__


def test_nothing_added_moves_nothing(split):
    found = increment_estimates(split.p, split.p, split.y, cutoffs=[0.5], thresholds=[0.5])

    assert found.auc_difference.value == found.auc_difference.se == 0.0
    assert found.idi.total.value == found.continuous_nri.total.value == 0.0
    assert found.categorical_nri.net.total.value == found.net_benefit[0].difference.value == 0.0


def test_without_cutoffs_and_thresholds_those_parts_are_absent(split):
    found = increment_estimates(split.p_base, split.p, split.y)

    assert found.categorical_nri is None
    assert found.net_benefit == ()


def test_a_base_without_discrimination_has_no_relative_idi():
    y = np.array([0.0, 0, 1, 1])

    found = integrated_discrimination(np.full(4, 0.5), np.array([0.2, 0.3, 0.6, 0.7]), y)

    assert np.isnan(found.relative)


def test_bootstrap_intervals_agree_with_the_analytic_errors(split):
    found = bootstrap_intervals(split.p_base, split.p, split.y, split.hospital, 300, np.random.default_rng(4))

    estimates = increment_estimates(split.p_base, split.p, split.y)
    analytic = (
        estimates.auc_difference,
        estimates.idi.events,
        estimates.idi.nonevents,
        estimates.continuous_nri.events,
        estimates.continuous_nri.nonevents,
    )
    assert tuple(interval.name for interval in found) == INTERVAL_MEASURES
    for interval, estimate in zip(found, analytic, strict=True):
        assert interval.value == pytest.approx(estimate.value, abs=1e-12)
        assert interval.se == pytest.approx(estimate.se, rel=0.2)
        assert interval.ci_low < interval.value < interval.ci_high


def test_intervals_of_the_parts_cover_a_known_improvement():
    generator = np.random.default_rng(8)
    mean = np.zeros(2)
    hits = np.zeros(2)
    for _ in range(1000):
        y = (np.arange(150) < 60).astype(float)
        p_base = np.full(150, 0.4)
        p_new = np.clip(0.4 + 0.1 * (y - 0.4) + 0.1 * generator.uniform(-1, 1, 150), 0.01, 0.99)
        found = integrated_discrimination(p_base, p_new, y)
        mean += [found.events.value, found.nonevents.value]
        hits += [
            found.events.ci_low <= 0.06 <= found.events.ci_high,
            found.nonevents.ci_low <= 0.04 <= found.nonevents.ci_high,
        ]

    assert mean / 1000 == pytest.approx([0.06, 0.04], abs=0.001)
    assert ((hits / 1000 > 0.92) & (hits / 1000 < 0.98)).all()


def test_an_increment_is_tested_estimated_and_corrected(blocks_of):
    terms = ("age", "male", "chol", "grade2", "grade3")

    found = increment_of_columns(
        blocks_of(*terms), terms, ["chol", "grade2", "grade3"], thresholds=[0.5], replicates=40,
        generator=np.random.default_rng(6),
    )  # fmt: skip

    by_name = {measure.name: measure for measure in found.corrected.measures}
    assert tuple(by_name) == INCREMENT_MEASURES
    assert found.test.likelihood_ratio.p < 1e-6
    assert found.apparent.auc_difference.value > 0
    assert by_name["auc_difference"].apparent == pytest.approx(found.apparent.auc_difference.value, abs=1e-12)
    assert 0 < by_name["auc_difference"].corrected < by_name["auc_difference"].apparent
    assert found.corrected.failed == 0


def test_columns_of_noise_have_a_corrected_increment_near_zero():
    generator = np.random.default_rng(13)
    X = generator.normal(size=(300, 9))
    y = (generator.random(300) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    terms = tuple(f"x{j}" for j in range(9))

    found = increment_of_columns(
        [CohortBlock("a", X, y)], terms, terms[1:], replicates=60, generator=np.random.default_rng(1)
    )

    assert found.apparent.auc_difference.value > 0.01
    corrected = next(measure for measure in found.corrected.measures if measure.name == "auc_difference")
    assert corrected.corrected == pytest.approx(0.0, abs=0.015)


def test_splitting_rows_into_blocks_keeps_predictions_of_an_offset_model(blocks_of, cohort):
    blocks = blocks_of("chol")
    offsets = [block.X[:, 0] for block in blocks_of("score")]

    found = increment_of_columns(blocks, ["chol"], ["chol"], offsets=offsets)
    reversed_ = increment_of_columns(blocks[::-1], ["chol"], ["chol"], offsets=offsets[::-1])

    assert found.corrected is None
    assert found.apparent.auc_new.auc == pytest.approx(reversed_.apparent.auc_new.auc, abs=1e-9)
    assert found.apparent.brier_new.brier == pytest.approx(reversed_.apparent.brier_new.brier, abs=1e-12)
    assert found.test.n == cohort["y"].size


@pytest.mark.parametrize("cutoffs", [[], [0.0], [1.0], [0.6, 0.4], [0.5, 0.5]])
def test_cutoffs_out_of_order_or_range_are_refused(cutoffs, split):
    with pytest.raises(InvalidBlockError, match="cut-offs"):
        categorical_reclassification(split.p_base, split.p, split.y, cutoffs)


def test_malformed_pairs_are_refused(split):
    for function in (integrated_discrimination, continuous_reclassification, increment_estimates):
        with pytest.raises(InvalidBlockError):
            function(split.p_base[:-1], split.p, split.y)
        with pytest.raises(InvalidBlockError):
            function(split.p_base, split.p * 3, split.y)
        with pytest.raises(DegenerateOutcomeError):
            function(split.p_base, split.p, (np.arange(split.y.size) == 0).astype(float))


def test_requests_for_a_bootstrap_are_checked(split, blocks_of):
    generator = np.random.default_rng(0)

    with pytest.raises(InvalidBlockError, match="generator"):
        increment_of_columns(blocks_of("age", "chol"), ("age", "chol"), ["chol"], replicates=5)
    with pytest.raises(InvalidBlockError, match="replicates"):
        bootstrap_intervals(split.p_base, split.p, split.y, split.hospital, 1, generator)
    with pytest.raises(InvalidBlockError, match="hospital"):
        bootstrap_intervals(split.p_base, split.p, split.y, split.hospital[:3], 5, generator)


def test_resamples_without_enough_events_are_refused_when_they_are_most():
    y = np.array([1.0, 1.0] + [0.0] * 6)
    p = np.linspace(0.1, 0.8, 8)

    with pytest.raises(NotConvergedError, match="resamples"):
        bootstrap_intervals(p, p[::-1], y, np.zeros(8), 4, _Unlucky())


class _Unlucky(np.random.Generator):
    def __init__(self):
        super().__init__(np.random.PCG64(1))

    def integers(self, low, high, size):
        return np.full(size, high - 1)
