"""What makes a well-formed study plan meaningless: parts that contradict each other or ask for nothing.

Knows no dictionary: `plan_check` compares a plan with the columns that there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heartify.errors import InputError
from heartify.protocol.plan_model import FactorSpec, OutcomeSpec
from heartify.protocol.plan_scores import check_score_sense

if TYPE_CHECKING:
    from heartify.protocol.plan import Plan

# A whole number from 2**53 on is not the same number to every JSON reader; NaN is below nothing.
_LIMIT = 2**53


def check_sense(plan: Plan) -> None:
    """Check that a plan asks one meaningful question.

    Raises:
        InputError: naming the part that is wrong and what would be right.
    """
    _check_event(plan.outcome, "outcome")
    _check_names(plan)
    for factor in plan.factors:
        _check_factor(factor)
    _check_model(plan)
    _check_follow_up(plan)
    _check_increment(plan)
    _check_screen(plan)


def _check_event(event: OutcomeSpec, what: str) -> None:
    if (event.equals is None) == (event.above is None):
        raise InputError(f"the plan's {what} needs exactly one of `equals` and `above`")
    if event.above is not None and not abs(event.above) < _LIMIT:
        raise InputError(f"the plan's {what} must be above a number of less than 2**53 in absolute value")


def _check_names(plan: Plan) -> None:
    names = [factor.name for factor in plan.factors]
    if len(set(names)) != len(names):
        raise InputError("two factors of the plan have the same name", hint="give each factor its own `name`")
    if plan.outcome.column in {factor.column for factor in plan.factors}:
        raise InputError(f"the plan's outcome column {plan.outcome.column!r} is also a factor")
    pairs = [frozenset((item.first, item.second)) for item in plan.interactions]
    if any(len(pair) != 2 or not pair <= set(names) for pair in pairs) or len(set(pairs)) != len(pairs):
        raise InputError("an interaction must name two different factors of the plan, each pair once")


def _check_factor(factor: FactorSpec) -> None:
    forms = [name for name in ("equals", "reference", "spline") if getattr(factor, name) is not None]
    if len(forms) > 1:
        raise InputError(f"factor {factor.name!r} has {' and '.join(forms)}: a factor has one form")
    if not factor.knots:
        return
    if factor.spline is None or len(factor.knots) != factor.spline:
        raise InputError(f"factor {factor.name!r}: `knots` must be as many as `spline` says")
    if any(not abs(knot) < _LIMIT for knot in factor.knots) or not _increase(factor.knots):
        raise InputError(f"factor {factor.name!r}: `knots` must be numbers in increasing order")


def _increase(values: Sequence[float]) -> bool:
    return all(before < after for before, after in itertools.pairwise(values))


def _check_model(plan: Plan) -> None:
    analysis = plan.analysis
    if analysis.estimation == "firth" and analysis.standard_errors != "model":
        raise InputError("Firth's estimates have the model's standard errors", hint='standard_errors = "model"')
    if analysis.model == "cox":
        if plan.follow_up is None:
            raise InputError("a Cox model needs `follow_up` with the column of the time", hint='follow_up.time = "..."')
        if analysis.estimation == "firth":
            raise InputError("Firth's estimation is for the logistic model")
        if plan.selection is not None:
            raise InputError("`selection` is for the logistic model")
        if plan.missing.method == "multiple-imputation" and plan.follow_up.entry is not None:
            raise InputError("multiple imputation of a Cox model with delayed entry is not offered")
    elif analysis.strata:
        raise InputError("`strata` are for the Cox model", hint="adjust a logistic model by a factor instead")
    if len(set(analysis.strata)) != len(analysis.strata) or set(analysis.strata) & {f.column for f in plan.factors}:
        raise InputError("a column is a stratum once, and not a factor too")


def _check_follow_up(plan: Plan) -> None:
    follow_up = plan.follow_up
    if plan.competing_risks is not None and (follow_up is None or follow_up.competing is None):
        raise InputError("`competing_risks` needs `follow_up.competing`, the event that precludes the outcome")
    if follow_up is None:
        return
    if follow_up.competing is not None:
        _check_event(follow_up.competing, "competing event")
        if follow_up.competing == plan.outcome:
            raise InputError("the competing event is the outcome itself")
    times = {follow_up.time, follow_up.entry}
    if follow_up.time == follow_up.entry or times & {plan.outcome.column, *(f.column for f in plan.factors)}:
        raise InputError("the columns of `follow_up` can't be the outcome, a factor, or each other")


def _check_increment(plan: Plan) -> None:
    if plan.increment is None:
        return
    new, names = set(plan.increment.factors), {factor.name for factor in plan.factors}
    if not new <= names or len(new) != len(plan.increment.factors):
        raise InputError("`increment.factors` must name factors of the plan, each once")
    if new == names and plan.increment.score is None:
        raise InputError("`increment` leaves no base model", hint="leave a factor out of it, or give a `score`")
    for name in ("cutoffs", "thresholds"):
        if not _increase(getattr(plan.increment, name)):
            raise InputError(f"`increment.{name}` must be in increasing order")
    if plan.increment.score is not None:
        check_score_sense(plan.increment.score)


def _check_screen(plan: Plan) -> None:
    if plan.screen is None:
        return
    candidates = set(plan.screen.candidates)
    if len(candidates) != len(plan.screen.candidates):
        raise InputError("a column is a candidate of the screen twice")
    if taken := candidates & set(plan.model_columns()):
        raise InputError(f"the screen's candidate {min(taken)!r} is already in the model")
    for name, members in plan.screen.families.items():
        if not members or not set(members) <= candidates or len(set(members)) != len(members):
            raise InputError(f"the screen's family {name!r} must list candidates, each once")
