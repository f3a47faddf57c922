"""Check a study plan against a data dictionary, before payment by the lab and before reading by the enclave."""

from __future__ import annotations

import re

from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, normalise_code
from heartify.protocol.plan import FactorSpec, FollowUpSpec, OutcomeSpec, Plan
from heartify.protocol.plan_scores import check_score_column

# Not all that float() takes: "nan" would equal no row, "1_0" is a misprint.
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_NUMERIC = ("number", "integer")
_USABLE_ROLES = ("factor", "outcome", "filter")


def check_plan_fits(plan: Plan, dictionary: DataDictionary) -> None:
    """Check that every column of the plan exists, may be used, and is used in a way that its datatype allows.

    Raises:
        InputError: naming the factor or outcome, its column, and what would be right.
    """
    _check_outcome(plan.outcome, _usable_column(dictionary, plan.outcome.column, "the outcome"), "the outcome")
    if plan.follow_up is not None:
        _check_follow_up(plan.follow_up, dictionary)
    for factor in plan.factors:
        _check_factor(factor, _usable_column(dictionary, factor.column, f"factor {factor.name!r}"))
    for name in plan.analysis.strata:
        column = _usable_column(dictionary, name, "a stratum")
        if column.datatype == "number":
            raise InputError(f"the stratum {name!r} is a number", hint="strata are categories, flags or whole numbers")
    _check_score_inputs(plan, dictionary)
    _check_candidates(plan, dictionary)


def _usable_column(dictionary: DataDictionary, name: str, what: str, roles: tuple[str, ...] = _USABLE_ROLES) -> Column:
    for column in dictionary.columns:
        if column.name == name:
            break
    else:
        known = ", ".join(column.name for column in dictionary.published_columns)
        raise InputError(f"{what} uses the column {name!r}, which the dataset does not have", hint=f"it has: {known}")
    if column.role not in roles or column.datatype == "date":
        raise InputError(f"{what} uses the column {name!r}, whose role or datatype does not allow it")
    return column


def _check_outcome(outcome: OutcomeSpec, column: Column, what: str) -> None:
    if outcome.above is not None:
        if column.datatype not in _NUMERIC:
            raise InputError(f"{what} is `above` a number, but {column.name!r} is a {column.datatype}")
        return
    check_level(column, str(outcome.equals), what)


def _check_follow_up(follow_up: FollowUpSpec, dictionary: DataDictionary) -> None:
    time = _usable_column(dictionary, follow_up.time, "the follow-up time", (*_USABLE_ROLES, "time"))
    times = [time]
    if follow_up.entry is not None:
        times.append(_usable_column(dictionary, follow_up.entry, "the time of entry", (*_USABLE_ROLES, "time")))
    for column in times:
        if column.datatype not in _NUMERIC:
            raise InputError(f"the time {column.name!r} is a {column.datatype}: a duration is a number")
        if column.unit != time.unit:
            raise InputError(
                f"the times {time.name!r} and {column.name!r} have the units {time.unit} and {column.unit}"
            )
    if follow_up.competing is not None:
        column = _usable_column(dictionary, follow_up.competing.column, "the competing event")
        _check_outcome(follow_up.competing, column, "the competing event")


def _check_factor(factor: FactorSpec, column: Column) -> None:
    what = f"factor {factor.name!r}"
    if factor.equals is not None:
        check_level(column, factor.equals, what)
    elif factor.reference is not None:
        if column.datatype != "category":
            raise InputError(f"{what} has a `reference` level, but {column.name!r} is a {column.datatype}")
        check_level(column, factor.reference, what)
    elif column.datatype == "category":
        codes = ", ".join(column.level_codes)
        raise InputError(
            f"{what} uses the category {column.name!r} as a number",
            hint=f"give `equals` with one of its levels, or `reference` for all others against it: {codes}",
        )
    if factor.spline is not None and column.datatype not in _NUMERIC:
        raise InputError(f"{what} is a spline of {column.name!r}, which is a {column.datatype}")


def _check_score_inputs(plan: Plan, dictionary: DataDictionary) -> None:
    if plan.increment is None or plan.increment.score is None:
        return
    for name, given in sorted(plan.increment.score.inputs.items()):
        what = f"the score's input {name!r}"
        if isinstance(given, str):
            check_score_column(name, _usable_column(dictionary, given, what))
        else:
            check_level(_usable_column(dictionary, given.column, what), given.equals, what)


def _check_candidates(plan: Plan, dictionary: DataDictionary) -> None:
    for name in plan.screen.candidates if plan.screen else ():
        if _usable_column(dictionary, name, "the screen").datatype == "category":
            raise InputError(
                f"the screen's candidate {name!r} is a category",
                hint="screen numbers and flags; model levels as factors",
            )


def check_level(column: Column, level: str, what: str) -> None:
    """Raise InputError unless `level` is a level that the column can have."""
    if column.datatype == "category":
        known = [normalise_code(code) for code in column.level_codes]
        if normalise_code(level) not in known:
            raise InputError(
                f"{what} equals {level!r}, which is no level of {column.name!r}", hint=f"levels: {', '.join(known)}"
            )
        return
    if column.datatype == "boolean":
        if level not in ("0", "1"):
            raise InputError(f"{what}: a boolean equals '0' or '1', got {level!r}")
        return
    if not _NUMBER.fullmatch(level):
        raise InputError(
            f"{what} equals {level!r}, which is not a number, but {column.name!r} is one",
            hint="write it with digits and a decimal point, such as '4' or '2.5'",
        )
