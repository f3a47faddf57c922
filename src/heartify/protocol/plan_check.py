"""Check a study plan against a data dictionary, before payment by the lab and before reading by the enclave."""

from __future__ import annotations

import re

from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, normalise_code
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan

# Not all that float() takes: "nan" would equal no row, "1_0" is a misprint.
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_NUMERIC = ("number", "integer")
_USABLE_ROLES = ("factor", "outcome", "filter")


def check_plan_fits(plan: Plan, dictionary: DataDictionary) -> None:
    """Check that every column of the plan exists, may be used, and is used in a way that its datatype allows.

    Raises:
        InputError: naming the factor or outcome, its column, and what would be right.
    """
    _check_outcome(plan.outcome, _usable_column(dictionary, plan.outcome.column, "the outcome"))
    for factor in plan.factors:
        _check_factor(factor, _usable_column(dictionary, factor.column, f"factor {factor.name!r}"))


def _usable_column(dictionary: DataDictionary, name: str, what: str) -> Column:
    for column in dictionary.columns:
        if column.name == name:
            break
    else:
        known = ", ".join(column.name for column in dictionary.published_columns)
        raise InputError(f"{what} uses the column {name!r}, which the dataset does not have", hint=f"it has: {known}")
    if column.role not in _USABLE_ROLES or column.datatype == "date":
        raise InputError(f"{what} uses the column {name!r}, whose role or datatype does not allow it")
    return column


def _check_outcome(outcome: OutcomeSpec, column: Column) -> None:
    if outcome.above is not None:
        if column.datatype not in _NUMERIC:
            raise InputError(f"the outcome is `above` a number, but {column.name!r} is a {column.datatype}")
        return
    check_level(column, str(outcome.equals), "the outcome")


def _check_factor(factor: FactorSpec, column: Column) -> None:
    if factor.equals is not None:
        check_level(column, factor.equals, f"factor {factor.name!r}")
    elif column.datatype == "category":
        codes = ", ".join(column.level_codes)
        raise InputError(
            f"factor {factor.name!r} uses the category {column.name!r} as a number",
            hint=f"give `equals` with one of its levels: {codes}",
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
