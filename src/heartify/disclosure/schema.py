"""The last gate: a document leaves only if it is exactly of the closed schema (rules 8 and 13) and on its grids.

Written out by hand, apart from the dataclasses that produce the document, so that a field added there does not pass
here unseen. Whatever is derived is recomputed from the rounded beta, SE and SD and must be equal to the last digit; a
number with hidden precision has no place to sit. Trusts nothing about how the document was made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from heartify.disclosure.codes import HospitalReason, HospitalStatus, NoteCode, WithheldCode, WithheldError
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.released import PROFILE, build_released_weight
from heartify.disclosure.rounding import COUNT_BASE, round_auc, round_estimate, round_sd

MAX_DOCUMENT_BYTES = 131_072
MAX_NAME_CHARACTERS = 200
MAX_WEIGHTS = 200
MAX_HOSPITALS = 200

Check = Callable[[Any], bool]


def check_released(document: Mapping[str, Any]) -> None:
    """Check that a released result is a closed-schema document on its rounding grids, of bounded size.

    Raises:
        WithheldError: OUTPUT_SCHEMA for an unknown, missing or ill-typed key, a value off its grid, a small count or a
            total that is not the sum of what is shown; OUTPUT_TOO_LARGE beyond 128 KiB, 200 weights or 200 hospitals.
    """
    if not _matches(document, _FIT):
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)
    if len(document["weights"]) > MAX_WEIGHTS or len(document["hospitals"]) > MAX_HOSPITALS:
        raise WithheldError(WithheldCode.OUTPUT_TOO_LARGE)
    if len(json.dumps(document, separators=(",", ":"), allow_nan=False).encode()) > MAX_DOCUMENT_BYTES:
        raise WithheldError(WithheldCode.OUTPUT_TOO_LARGE)
    if (document["auc"] is None) == (document["concordance"] is None):
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)
    if not (_names_differ(document) and _totals_add_up(document) and _intercept_is_shown(document)):
        raise WithheldError(WithheldCode.OUTPUT_SCHEMA)


def _matches(value: Any, schema: Mapping[str, Check]) -> bool:
    return type(value) is dict and value.keys() == schema.keys() and all(ok(value[key]) for key, ok in schema.items())


def _is_name(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_NAME_CHARACTERS


def _is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= MIN_CELL and value % COUNT_BASE == 0


def _nullable(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(check(item) for item in value)


def _one_of(allowed: frozenset[str | int]) -> Check:
    return lambda value: type(value) in {str, int} and value in allowed


def _is_weight(value: Any) -> bool:
    if not _matches(value, _WEIGHT):
        return False
    try:
        again = build_released_weight(value["factor"], value["beta"], value["se"], round_sd(value["sd"]))
    except ValueError:
        return False
    return all(getattr(again, key) == value[key] for key in _WEIGHT)


def _is_on_grid(estimate: float, se: float) -> bool:
    try:
        again = round_estimate(estimate, se)
    except ValueError:
        return False
    return (again.beta, again.se) == (estimate, se)


def _is_hospital(value: Any) -> bool:
    if not _matches(value, _HOSPITAL):
        return False
    figures = (value["n"], value["events"], value["intercept"], value["intercept_se"])
    present = tuple(figure is not None for figure in figures)
    if value["status"] == HospitalStatus.LEFT_OUT:
        return value["reason"] == HospitalReason.TOO_FEW_PATIENTS and not any(present)
    if value["reason"] is None:
        counted = present[0] and present[1] and value["events"] <= value["n"] - MIN_CELL
        return counted and (present[2:] == (False, False) or (all(present) and _is_on_grid(*figures[2:])))
    return value["reason"] == HospitalReason.OUTCOMES_SUPPRESSED and present == (True, False, False, False)


def _is_intercept(value: Any) -> bool:
    return _matches(value, _INTERCEPT) and _is_on_grid(value["beta"], value["se"])


def _is_auc(value: Any) -> bool:
    return _is_number(value) and 0.0 <= value <= 1.0 and round_auc(value) == value


def _names_differ(document: Mapping[str, Any]) -> bool:
    factors = [row["factor"] for row in document["weights"]]
    hospitals = [row["name"] for row in document["hospitals"]]
    return len(set(factors)) == len(factors) and len(set(hospitals)) == len(hospitals)


def _totals_add_up(document: Mapping[str, Any]) -> bool:
    rows = [row for row in document["hospitals"] if row["n"] is not None]
    shown = [row for row in rows if row["events"] is not None]
    n = sum(row["n"] for row in rows)
    events, events_n = (sum(row[key] for row in shown) if shown else None for key in ("events", "n"))
    return (document["n"], document["events"], document["events_n"]) == (n, events, events_n)


def _intercept_is_shown(document: Mapping[str, Any]) -> bool:
    intercept, rows = document["intercept"], document["hospitals"]
    if intercept is None:
        return True
    own = [(row["intercept"], row["intercept_se"]) for row in rows if row["name"] == intercept["hospital"]]
    return own == [(intercept["beta"], intercept["se"])]


_WEIGHT: dict[str, Check] = {
    "factor": _is_name,
    "beta": _is_number,
    "se": _is_number,
    "ci_low": _is_number,
    "ci_high": _is_number,
    "z": _is_number,
    "p": _is_text,
    "ratio": _nullable(_is_number),
    "ratio_ci_low": _nullable(_is_number),
    "ratio_ci_high": _nullable(_is_number),
    "sd": _is_number,
    "beta_per_sd": _is_number,
    "se_per_sd": _is_number,
    "ratio_per_sd": _nullable(_is_number),
}

_INTERCEPT: dict[str, Check] = {"hospital": _is_name, "beta": _is_number, "se": _is_number}

_HOSPITAL: dict[str, Check] = {
    "name": _is_name,
    "n": _nullable(_is_count),
    "events": _nullable(_is_count),
    "intercept": _nullable(_is_number),
    "intercept_se": _nullable(_is_number),
    "status": _one_of(frozenset(status.value for status in HospitalStatus)),
    "reason": _nullable(_one_of(frozenset(reason.value for reason in HospitalReason))),
}

_FIT: dict[str, Check] = {
    "profile": _one_of(frozenset({PROFILE})),
    "weights": _list_of(_is_weight),
    "intercept": _nullable(_is_intercept),
    "hospitals": _list_of(_is_hospital),
    "n": _is_count,
    "events": _nullable(_is_count),
    "events_n": _nullable(_is_count),
    "auc": _nullable(_is_auc),
    "concordance": _nullable(_is_auc),
    "notes": _list_of(_one_of(frozenset(note.value for note in NoteCode))),
}
