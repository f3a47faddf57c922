"""Tests of a logistic model's terms: by likelihood ratio, and by Wald with the plan's kind of errors.

Firth's estimates have a penalised likelihood-ratio test. Likelihood ratios need a fit for each hypothesis, so very
large ones are left to Wald, which is the same there; so are imputed data, whose likelihoods don't pool. What is shown
of a test is a chi-square on its root's grid, and the p-value of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartify.disclosure.cells import Cell
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.analyses.hypotheses import Hypothesis, hypotheses
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.errors import StatsError
from heartify.stats.firth import penalised_ratio_test
from heartify.stats.inference import ChiSquareTest, likelihood_ratio_test, wald_test

MAX_REFIT_WORK = 2e10  # rows times squared columns times hypotheses: minutes on one core

Row = Mapping[str, Cell]


def _is_requested(plan: Plan) -> bool:
    return plan.analysis.model == "logistic"


def _run(data: StudyData) -> Sequence[ExactTable]:
    rows: list[Row] = []
    refits = _can_refit(data)
    for hypothesis in hypotheses(data.model):
        if refits:
            rows.append(_likelihood_ratio_row(data, hypothesis))
        rows.append(_wald_row(data, hypothesis))
    return (ExactTable("tests", rows),)


def _can_refit(data: StudyData) -> bool:
    work = float(data.fit.n) * len(data.names) ** 2 * len(hypotheses(data.model))
    return data.fit.imputations == 0 and work <= MAX_REFIT_WORK


def _likelihood_ratio_row(data: StudyData, hypothesis: Hypothesis) -> Row:
    names = [data.names[j] for j in hypothesis.columns]
    fit = data.fit
    word = "likelihood-ratio" if fit.firth is None else "penalised likelihood-ratio"
    try:
        if fit.firth is not None:
            return _row(hypothesis, word, penalised_ratio_test(data.blocks, fit.firth, names))
        if fit.logistic is not None:
            return _row(hypothesis, word, likelihood_ratio_test(data.blocks, fit.logistic, names))
    except StatsError:
        pass  # one hypothesis without a test must not sink the others
    return _row(hypothesis, word, None)


def _wald_row(data: StudyData, hypothesis: Hypothesis) -> Row:
    columns = list(hypothesis.columns)
    covariance = data.fit.term_covariance[columns][:, columns]
    try:
        return _row(hypothesis, "wald", wald_test(data.fit.term_coef[columns], covariance))
    except StatsError:
        # Errors by hospital span no more columns than there are hospitals.
        return _row(hypothesis, "wald", None)


def _row(hypothesis: Hypothesis, test: str, found: ChiSquareTest | None) -> Row:
    return {
        "term": hypothesis.term,
        "hypothesis": hypothesis.words,
        "test": test,
        "chi2": None if found is None else found.statistic,
        "df": len(hypothesis.columns),
    }


MODEL_TESTS = Analysis("tests", _is_requested, _run)
