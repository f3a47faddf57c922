"""From an exact fit to what a lab may see: rules 7 to 10, after rules 1 to 4 have passed once more.

Trusts the fit for its arithmetic and nothing else: names, hospitals and counts must agree with the facts that were
judged. Reads coefficients, standard errors and the AUC of a fit; never its covariance. Deterministic, so that equal
questions get equal answers and repeating one averages nothing out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from heartify.disclosure.codes import HospitalReason, HospitalStatus, NoteCode, WithheldCode, WithheldError
from heartify.disclosure.cohort_rules import EVENTS_PER_PARAMETER, verify_cohort
from heartify.disclosure.facts import CohortFacts, FloatArray, TermFacts
from heartify.disclosure.released import (
    PROFILE,
    ReleasedFit,
    ReleasedHospital,
    ReleasedIntercept,
    ReleasedWeight,
    build_released_weight,
)
from heartify.disclosure.rounding import round_auc, round_estimate, round_sd, two_valued_sd
from heartify.disclosure.schema import check_released
from heartify.disclosure.suppression import ShownCounts, show_counts


class InterceptEstimate(Protocol):
    """A hospital's own intercept and its SE."""

    @property
    def hospital(self) -> str:
        """Return the hospital's name."""

    @property
    def value(self) -> float:
        """Return the log odds at zero of all terms."""

    @property
    def se(self) -> float:
        """Return its standard error."""


class FitEstimates(Protocol):
    """What a release reads of a fit; stats.PooledLogisticFit is one. A Cox fit has no intercepts."""

    @property
    def term_names(self) -> tuple[str, ...]:
        """Return the names of the p terms."""

    @property
    def term_coef(self) -> FloatArray:
        """Return their coefficients (p,) per clinical unit."""

    @property
    def term_se(self) -> FloatArray:
        """Return their standard errors (p,)."""

    @property
    def hospital_intercepts(self) -> Sequence[InterceptEstimate]:
        """Return the intercepts of the contributing hospitals, in fitting order; none for a Cox model."""

    @property
    def n(self) -> int:
        """Return the number of fitted rows."""

    @property
    def events(self) -> int:
        """Return the number of events in them."""

    @property
    def auc(self) -> float | None:
        """Return the apparent AUC of a logistic model."""


def release_fit(
    fit: FitEstimates, facts: CohortFacts, left_out: Sequence[str] = (), *, concordance: float | None = None
) -> ReleasedFit:
    """Round and suppress a fit on the cohort of `facts`; `left_out` names hospitals that rule 1 left out of it.

    `concordance` is that of a Cox model, which has no AUC.

    Raises:
        WithheldError: a cohort rule fails, the fit is not of these facts, a number is not finite, or the outcome is
            not a document of the closed schema.
    """
    verify_cohort(facts)
    _verify_same_cohort(fit, facts, left_out)
    counts = show_counts(facts.hospitals)
    try:
        weights = tuple(
            _weight(term, float(coef), float(se))
            for term, coef, se in zip(facts.terms, fit.term_coef, fit.term_se, strict=True)
        )
        hospitals = _contributed(fit, facts, counts)
        auc, shown_concordance = (None if index is None else round_auc(index) for index in (fit.auc, concordance))
    except ValueError as exc:
        raise WithheldError(WithheldCode.NOT_ESTIMABLE) from exc
    released = ReleasedFit(
        profile=PROFILE,
        weights=weights,
        intercept=_reference_intercept(hospitals[0]),
        hospitals=(*hospitals, *(_left_out(name) for name in left_out)),
        n=counts.total_n,
        events=counts.total_events,
        events_n=counts.total_events_n,
        auc=auc,
        concordance=shown_concordance,
        notes=_notes(counts, facts.n_parameters),
    )
    check_released(released.to_dict())
    return released


def _verify_same_cohort(fit: FitEstimates, facts: CohortFacts, left_out: Sequence[str]) -> None:
    names = tuple(hospital.name for hospital in facts.hospitals)
    same = (
        fit.term_names == tuple(term.name for term in facts.terms)
        and tuple(estimate.hospital for estimate in fit.hospital_intercepts) in {names, ()}
        and (fit.n, fit.events) == (facts.pooled.n, facts.pooled.events)
        and len({*names, *left_out}) == len(names) + len(left_out)
    )
    if not same:
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)


def _weight(term: TermFacts, coef: float, se: float) -> ReleasedWeight:
    if term.two_valued is None:
        sd = round_sd(term.sd)
    else:
        sd = two_valued_sd(term.two_valued.spread, term.two_valued.n_low, term.two_valued.n_high)
    return build_released_weight(term.name, coef, se, sd)


def _contributed(fit: FitEstimates, facts: CohortFacts, counts: ShownCounts) -> list[ReleasedHospital]:
    intercepts = {estimate.hospital: estimate for estimate in fit.hospital_intercepts}
    released = []
    for hospital, n, events in zip(facts.hospitals, counts.n, counts.events, strict=True):
        own = None if events is None else intercepts.get(hospital.name)
        shown = None if own is None else round_estimate(own.value, own.se)
        released.append(
            ReleasedHospital(
                name=hospital.name,
                n=n,
                events=events,
                intercept=shown.beta if shown else None,
                intercept_se=shown.se if shown else None,
                status=HospitalStatus.CONTRIBUTED,
                reason=HospitalReason.OUTCOMES_SUPPRESSED if events is None else None,
            )
        )
    return released


def _left_out(name: str) -> ReleasedHospital:
    return ReleasedHospital(
        name, None, None, None, None, HospitalStatus.LEFT_OUT, reason=HospitalReason.TOO_FEW_PATIENTS
    )


def _reference_intercept(first: ReleasedHospital) -> ReleasedIntercept | None:
    if first.intercept is None or first.intercept_se is None:
        return None
    return ReleasedIntercept(first.name, first.intercept, first.intercept_se)


def _notes(counts: ShownCounts, n_parameters: int) -> tuple[NoteCode, ...]:
    # From shown counts only: a note that flips on an exact total would let many models search for a hidden cell.
    events, n = counts.total_events or 0, counts.total_events_n or 0
    few = min(events, n - events) < EVENTS_PER_PARAMETER * n_parameters
    notes = [NoteCode.FEW_EVENTS_PER_PARAMETER] if few else []
    return (*notes, NoteCode.OUTCOMES_SUPPRESSED) if None in counts.events else tuple(notes)
