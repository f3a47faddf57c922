"""What a new factor adds to a base model or a published score: the test first, then the estimates.

`increment_estimates` judges any two risks on the same rows (best: rows that neither model learnt from).
`increment_of_columns` fits both models, tests the added coefficients, and gives the estimates on the same rows, with an
optimism correction if replicates are asked for. An increment is an association: it says nothing of causes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.errors import InvalidBlockError, NotConvergedError, StatsError
from heartify.stats.increment.discrimination import DiscriminationImprovement, check_pair, integrated_discrimination
from heartify.stats.increment.nested import NestedLogistic, Offsets
from heartify.stats.increment.reclassification import (
    CategoricalReclassification,
    NetReclassification,
    categorical_reclassification,
    continuous_reclassification,
)
from heartify.stats.increment.tests import AddedColumnsTest, compare_fits
from heartify.stats.newton import Maximum
from heartify.stats.performance.brier import BrierScore, brier_score, prediction_sums
from heartify.stats.performance.delong import AucEstimate, auc_difference, delong_auc
from heartify.stats.performance.net_benefit import NetBenefitDifference, net_benefit_differences
from heartify.stats.performance.optimism import (
    MOST_FAILED,
    OptimismCorrection,
    Predictor,
    Rows,
    bootstrap_optimism,
    hospital_rows,
    resample_rows,
)
from heartify.stats.performance.predictions import Estimate
from heartify.stats.roc import auc

INCREMENT_MEASURES = ("auc_base", "auc_new", "auc_difference", "scaled_brier_difference", "idi_events", "idi_nonevents")
INTERVAL_MEASURES = ("auc_difference", "idi_events", "idi_nonevents", "cnri_events", "cnri_nonevents")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IncrementEstimates:
    """Base and new risks compared on the same rows; estimates only, no p-value.

    `categorical` is None without cut-offs, `net_benefit` empty without thresholds.
    """

    auc_base: AucEstimate
    auc_new: AucEstimate
    auc_difference: Estimate
    brier_base: BrierScore
    brier_new: BrierScore
    idi: DiscriminationImprovement
    continuous_nri: NetReclassification
    categorical_nri: CategoricalReclassification | None
    net_benefit: tuple[NetBenefitDifference, ...]


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """One measure, its bootstrap SE, and the 2.5 % and 97.5 % quantiles of its replicates."""

    name: str
    value: float
    se: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Increment:
    """The test of the added columns, the apparent estimates, and their optimism correction if asked for."""

    test: AddedColumnsTest
    apparent: IncrementEstimates
    corrected: OptimismCorrection | None


def increment_estimates(
    p_base: FloatArray,
    p_new: FloatArray,
    y: FloatArray,
    *,
    cutoffs: Sequence[float] = (),
    thresholds: Sequence[float] = (),
    prevalence: float | None = None,
) -> IncrementEstimates:
    """Compare risks p_base (n,) and p_new (n,) for y (n,); `prevalence` is for the net benefit only.

    Raises:
        InvalidBlockError: shapes, values, cut-offs or thresholds are wrong.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
    """
    check_pair(p_base, p_new, y)
    return IncrementEstimates(
        auc_base=delong_auc(p_base, y),
        auc_new=delong_auc(p_new, y),
        auc_difference=auc_difference(p_base, p_new, y),
        brier_base=brier_score(prediction_sums(p_base, y)),
        brier_new=brier_score(prediction_sums(p_new, y)),
        idi=integrated_discrimination(p_base, p_new, y),
        continuous_nri=continuous_reclassification(p_base, p_new, y),
        categorical_nri=categorical_reclassification(p_base, p_new, y, cutoffs) if len(cutoffs) else None,
        net_benefit=net_benefit_differences(p_base, p_new, y, thresholds, prevalence) if len(thresholds) else (),
    )


def bootstrap_intervals(
    p_base: FloatArray,
    p_new: FloatArray,
    y: FloatArray,
    hospital: NDArray[np.generic],
    replicates: int,
    generator: np.random.Generator,
) -> tuple[BootstrapInterval, ...]:
    """Resample rows within hospitals, labels (n,), for intervals of INTERVAL_MEASURES without a normal approximation.

    The risks are held fixed: the interval is of their difference, not of the fitting of the models.

    Raises:
        InvalidBlockError: shapes or values are wrong, or fewer than two replicates.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
        NotConvergedError: more than half of the resamples had too few events or non-events.
    """
    check_pair(p_base, p_new, y)
    if hospital.shape != y.shape or replicates < 2:
        raise InvalidBlockError("expected one hospital label per row and at least two replicates")
    groups = hospital_rows(hospital)
    drawn = []
    for _ in range(replicates):
        rows = resample_rows(groups, generator)
        try:
            drawn.append(_interval_measures(p_base[rows], p_new[rows], y[rows]))
        except StatsError:
            continue
    if len(drawn) < max(2, (1.0 - MOST_FAILED) * replicates):
        raise NotConvergedError(f"{replicates - len(drawn)} of {replicates} resamples had too few events or non-events")
    values = np.array(drawn)
    columns = (
        _interval_measures(p_base, p_new, y),
        values.std(axis=0, ddof=1),
        *np.quantile(values, (0.025, 0.975), axis=0),
    )
    rows_of = zip(INTERVAL_MEASURES, *columns, strict=True)
    return tuple(BootstrapInterval(name, *(float(v) for v in row)) for name, *row in rows_of)


def increment_of_columns(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    added: Sequence[str],
    *,
    offsets: Offsets | None = None,
    cutoffs: Sequence[float] = (),
    thresholds: Sequence[float] = (),
    replicates: int = 0,
    generator: np.random.Generator | None = None,
) -> Increment:
    """Test and estimate what the columns named `added` add to the other columns, hospital intercepts and offsets.

    `offsets` are as in `added_columns_test`. With `replicates` the measures INCREMENT_MEASURES are corrected for
    optimism by refitting both models in each resample, drawn from `generator`.

    Raises:
        InvalidBlockError: arguments do not fit together; replicates without a generator.
        DegenerateOutcomeError, RankDeficientError, SeparationError, NotConvergedError: one of the models has no fit.
    """
    if replicates and generator is None:
        raise InvalidBlockError("an optimism correction needs a generator")
    model = NestedLogistic(blocks, term_names, added, offsets)
    base, full = model.fit_base(), model.fit_full()
    cohort = _Cohort(blocks, term_names, added, offsets)
    risks = cohort.predictor(model, base, full)(np.arange(cohort.y.size))
    corrected = None
    if replicates and generator is not None:
        corrected = bootstrap_optimism(
            cohort.pipeline,
            cohort.y,
            cohort.hospital,
            replicates,
            generator,
            names=INCREMENT_MEASURES,
            measure=_increment_measures,
        )
    return Increment(
        test=compare_fits(model, added, base, full),
        apparent=increment_estimates(risks[:, 0], risks[:, 1], cohort.y, cutoffs=cutoffs, thresholds=thresholds),
        corrected=corrected,
    )


class _Cohort:
    """All blocks' rows in one array each, so that a bootstrap can draw row numbers."""

    def __init__(
        self, blocks: Sequence[CohortBlock], term_names: Sequence[str], added: Sequence[str], offsets: Offsets | None
    ) -> None:
        self._names, self._terms, self._added = [block.name for block in blocks], term_names, added
        self._X = np.concatenate([block.X for block in blocks])
        self.y = np.concatenate([block.y for block in blocks])
        self.hospital = np.repeat(np.arange(len(blocks)), [block.n for block in blocks])
        self._offset = np.concatenate(offsets) if offsets is not None else np.zeros(self.y.size)

    def pipeline(self, rows: Rows) -> Predictor:
        parts = [rows[self.hospital[rows] == h] for h in range(len(self._names))]
        blocks = [CohortBlock(n, self._X[part], self.y[part]) for n, part in zip(self._names, parts, strict=True)]
        model = NestedLogistic(blocks, self._terms, self._added, [self._offset[part] for part in parts])
        return self.predictor(model, model.fit_base(), model.fit_full())

    def predictor(self, model: NestedLogistic, base: Maximum, full: Maximum) -> Predictor:
        def predict(rows: Rows) -> FloatArray:
            place = (self._X[rows], self.hospital[rows], self._offset[rows])
            etas = [model.predict(fit.parameters, *place) for fit in (base, full)]
            risks: FloatArray = expit(np.column_stack(etas))
            return risks

        return predict


def _increment_measures(risks: FloatArray, y: FloatArray) -> tuple[float, ...]:
    p_base, p_new = risks[:, 0], risks[:, 1]
    auc_base, auc_new = auc(p_base, y), auc(p_new, y)
    scaled = [brier_score(prediction_sums(p, y)).scaled for p in (p_base, p_new)]
    idi = integrated_discrimination(p_base, p_new, y)
    return auc_base, auc_new, auc_new - auc_base, scaled[1] - scaled[0], idi.events.value, idi.nonevents.value


def _interval_measures(p_base: FloatArray, p_new: FloatArray, y: FloatArray) -> tuple[float, ...]:
    idi, nri = integrated_discrimination(p_base, p_new, y), continuous_reclassification(p_base, p_new, y)
    difference = auc(p_new, y) - auc(p_base, y)
    return difference, idi.events.value, idi.nonevents.value, nri.events.value, nri.nonevents.value
