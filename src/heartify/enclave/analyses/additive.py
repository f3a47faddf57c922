"""Interaction on the additive scale of each pair of flags whose only product is in the logistic model.

RERI, attributable proportion and synergy index; odds ratios stand for risk ratios, so the outcome should be rare. Where
a flag goes with less risk, none of the three means much until its other level is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.design import Interaction
from heartify.stats.inference import AdditiveMeasure, additive_interaction
from heartify.stats.logistic import PooledLogisticFit

Row = Mapping[str, Cell]


def _is_requested(plan: Plan) -> bool:
    logistic = plan.analysis.model == "logistic" and plan.missing.method == "complete-case"
    return logistic and len(plan.interactions) > 0


def _run(data: StudyData) -> Sequence[ExactTable]:
    fit = data.fit.logistic
    rows = [] if fit is None else [row for pair in _pairs_of_flags(data) for row in _rows(data, fit, pair)]
    return (ExactTable("additive_interaction", rows),)


def _pairs_of_flags(data: StudyData) -> Iterator[Interaction]:
    """Yield the products of two flags that have no other: one with a third factor would set its odds ratio at zero."""
    products = [term for term in data.model.design.terms if isinstance(term, Interaction)]
    for term in products:
        alone = all(term.sources.isdisjoint(other.sources) for other in products if other is not term)
        if alone and len(term.names) == 1 and all(_is_flag(data, name) for name in term.sources):
            yield term


def _is_flag(data: StudyData, factor: str) -> bool:
    return all(bool(np.isin(case.factors[factor][case.complete], (0.0, 1.0)).all()) for case in data.cases)


def _rows(data: StudyData, fit: PooledLogisticFit, pair: Interaction) -> Iterator[Row]:
    names = dict(zip(data.model.design.names, data.names, strict=True))
    first, second, product = (names[part.names[0]] for part in (pair.left, pair.right, pair))
    covariance = fit.covariance.copy()
    p = len(data.names)
    covariance[1 : 1 + p, 1 : 1 + p] = data.fit.term_covariance  # the plan's kind of errors
    found = additive_interaction(fit, first, second, product, covariance)
    yield _row(product, "relative excess risk due to interaction", found.reri)
    yield _row(product, "attributable proportion due to interaction", found.attributable_proportion)
    if found.synergy is not None:
        yield _row(product, "log synergy index", _logarithm(found.synergy))


def _logarithm(synergy: AdditiveMeasure) -> AdditiveMeasure:
    """Return the synergy index on the scale of its SE."""
    low, estimate, high = np.log([synergy.ci_low, synergy.estimate, synergy.ci_high]).tolist()
    return AdditiveMeasure(estimate, synergy.se, low, high)


def _row(interaction: str, measure: str, found: AdditiveMeasure) -> Row:
    return {
        "interaction": interaction,
        "measure": measure,
        "se": found.se,
        "estimate": found.estimate,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
    }


ADDITIVE_INTERACTION = Analysis("additive_interaction", _is_requested, _run)
