"""Tests of a Cox model: of its terms, by likelihood ratio and by Wald, of the whole also by score, and of its premise.

The Wald test takes the plan's kind of errors; the others are of the partial likelihood. Likelihood ratios need a fit
for each hypothesis, so very large ones are left to Wald, which is the same there; so are imputed data, whose
likelihoods don't pool. What is shown of a test is a chi-square on its root's grid, and the p-value of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heartify.disclosure.cells import Cell
from heartify.disclosure.tables import ExactTable
from heartify.disclosure.tables.spec import MAX_ROWS
from heartify.enclave.analyses.analysis import AnalysisSkippedError
from heartify.enclave.analyses.hypotheses import Hypothesis, hypotheses
from heartify.enclave.study_data import StudyData
from heartify.stats.chi_square import ratio_test
from heartify.stats.errors import StatsError
from heartify.stats.inference import wald_test
from heartify.stats.survival import (
    CoxFit,
    SurvivalBlock,
    TimeTransform,
    fit_cox,
    proportional_hazards_test,
)

MAX_REFIT_WORK = 2e10  # rows times squared columns times hypotheses: minutes on one core
GLOBAL = "global"

Row = dict[str, Cell]


def run_cox_tests(data: StudyData) -> Sequence[ExactTable]:
    """Return the table of tests.

    Raises:
        AnalysisSkippedError: the main fit is no Cox model.
    """
    cox = _cox_fit(data)
    refits = data.fit.imputations == 0 and _work(data) <= MAX_REFIT_WORK
    rows: list[Row] = []
    for hypothesis in hypotheses(data.model):
        if refits:
            rows.append(_row(hypothesis, "likelihood-ratio", _likelihood_ratio(data.survival, cox, hypothesis)))
        rows.append(_row(hypothesis, "wald", _wald(data, hypothesis)))
        if len(hypothesis.columns) == len(data.names) and hypothesis.words == "model" and data.fit.imputations == 0:
            rows.append(_row(hypothesis, "score", cox.score_test.statistic))
    return (ExactTable("tests", rows),)


def run_proportional_hazards(data: StudyData) -> Sequence[ExactTable]:
    """Return the tests of each column and of all, along 1 - Kaplan-Meier and along time itself.

    Raises:
        AnalysisSkippedError: there are more columns than a table has rows for, or the main fit is no Cox model.
    """
    fit = _cox_fit(data)
    if len(TimeTransform) * (len(data.names) + 1) > MAX_ROWS:
        raise AnalysisSkippedError("too_many_terms")
    return (
        ExactTable(
            "proportional_hazards", [row for transform in TimeTransform for row in _premise(data, fit, transform)]
        ),
    )


def _cox_fit(data: StudyData) -> CoxFit:
    if data.fit.cox is None:
        raise AnalysisSkippedError("not_estimable")
    return data.fit.cox


def _work(data: StudyData) -> float:
    return float(data.fit.n) * len(data.names) ** 2 * len(hypotheses(data.model))


def _likelihood_ratio(blocks: Sequence[SurvivalBlock], fit: CoxFit, hypothesis: Hypothesis) -> float | None:
    dropped = set(hypothesis.columns)
    kept = [index for index in range(len(fit.term_names)) if index not in dropped]
    if not kept:
        return fit.likelihood_ratio_test.statistic
    smaller = [
        SurvivalBlock(block.name, block.X[:, kept], block.time, block.event, block.entry, block.stratum)
        for block in blocks
    ]
    try:
        reduced = fit_cox(smaller, [fit.term_names[index] for index in kept], ties=fit.ties, baseline=fit.baseline)
    except StatsError:  # pragma: no cover - a part of an estimable model is estimable, but for rounding
        return None  # one hypothesis without a test must not sink the others
    return ratio_test(fit.loglik, reduced.loglik, len(dropped)).statistic


def _wald(data: StudyData, hypothesis: Hypothesis) -> float | None:
    columns = list(hypothesis.columns)
    covariance = data.fit.term_covariance[columns][:, columns]
    try:
        return wald_test(data.fit.term_coef[columns], covariance).statistic
    except StatsError:
        return None  # errors by hospital span no more columns than there are hospitals


def _row(hypothesis: Hypothesis, test: str, chi2: float | None) -> Row:
    return {
        "term": hypothesis.term,
        "hypothesis": hypothesis.words,
        "test": test,
        "chi2": chi2,
        "df": len(hypothesis.columns),
    }


def _premise(data: StudyData, fit: CoxFit, transform: TimeTransform) -> Iterator[Row]:
    chi2: dict[str, float | None] = dict.fromkeys((*data.names, GLOBAL))
    try:
        found = proportional_hazards_test(fit, data.survival, transform)
        chi2 |= {name: test.statistic for name, test in found.terms.items()} | {GLOBAL: found.overall.statistic}
    except StatsError:
        pass  # events at a single time say nothing of time: rows without figures
    for term, statistic in chi2.items():
        df = len(data.names) if term == GLOBAL else 1
        yield {"term": term, "transform": transform.value, "chi2": statistic, "df": df}
