"""Draft columns of numbers: truth values, codes, ids, counts and measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from heartify.cohort.describing.coded_draft import draft_boolean, draft_category, draft_id
from heartify.cohort.describing.column_draft import (
    ColumnDraft,
    RawColumn,
    guess_missing_codes,
    guess_role,
    said,
    source_of,
)
from heartify.cohort.describing.levels import MIN_ROWS
from heartify.cohort.describing.limits import coarse_limits
from heartify.cohort.describing.missing import FEW_CODES, missing_numbers
from heartify.cohort.describing.name_roles import is_id_name, is_sex_name
from heartify.cohort.describing.quantities import Quantity, guess_quantity
from heartify.cohort.describing.vocabulary import ranges_by_unit
from heartify.protocol.dictionary import MAX_DECIMALS, Column, Datatype

ROWS_A_CODE = 5
_PUBLIC_LIMITS = "what is possible at all, from a public table: not the extremes of the patients"
_COARSE_LIMITS = "guess: rounded outwards, so that no patient's extreme value stands here: tighten them by knowledge"


class _Unit(NamedTuple):
    """The unit of a column, what it is in the source where that differs, and why."""

    unit: str
    source_unit: str | None
    reason: str | None
    limits: tuple[float, float] | None


def draft_numbers(raw: RawColumn) -> ColumnDraft:
    """Draft a column in which everything known is a number."""
    profile = raw.profile
    missing = missing_numbers(profile, raw.values)
    codes = {code: count for code, count in (profile.codes or {}).items() if code not in missing}
    if codes and set(codes) <= {"0", "1"} and not is_sex_name(raw.source_name):
        return draft_boolean(raw, missing)
    if is_id_name(raw.source_name) and (profile.is_all_different or profile.codes is None):
        return draft_id(raw, "the name")
    if _is_coded(raw, codes):
        return draft_category(raw, codes, missing)
    known = raw.values[~np.isnan(raw.values) & ~np.isin(raw.values, [float(code) for code in missing])]
    quantity = guess_quantity(raw.source_name, known)
    if not isinstance(quantity, Quantity) and _is_numbered(raw):
        return draft_id(raw, "every row has a number of its own")
    return _draft_measured(raw, missing, quantity)


def _is_coded(raw: RawColumn, codes: Mapping[str, int]) -> bool:
    return raw.profile.is_whole and 0 < len(codes) <= FEW_CODES and raw.profile.known >= ROWS_A_CODE * len(codes)


def _is_numbered(raw: RawColumn) -> bool:
    profile = raw.profile
    return profile.is_whole and profile.is_all_different and profile.known >= 2 * MIN_ROWS


def _draft_measured(raw: RawColumn, missing: tuple[str, ...], quantity: Quantity | str | None) -> ColumnDraft:
    found = quantity if isinstance(quantity, Quantity) else None
    if found is not None and found.entry.value[0] > 0 and raw.profile.sentinels["0"]:
        missing = (*missing, "0")
    unit = _unit_of(found)
    datatype: Datatype = "integer" if raw.profile.is_whole and unit.source_unit is None else "number"
    low, high = unit.limits or coarse_limits(*raw.profile.extremes(missing))
    decimals, decimals_note = _decimals_of(raw, datatype, unit)
    codes, codes_note = guess_missing_codes(raw, missing)
    role, role_note = guess_role(raw, datatype)
    column = Column(
        name=raw.name,
        title=found.known.title if found else raw.title,
        datatype=datatype,
        role=role,
        unit=unit.unit,
        minimum=low,
        maximum=high,
        decimals=decimals,
        missing_codes=codes,
        loinc=found.loinc if found else None,
    )
    notes = {
        "title": "guess: the name" if found else None,
        "datatype": "guess: everything known is a whole number" if datatype == "integer" else "guess: numbers",
        "role": role_note,
        "unit": unit.reason,
        "minimum": f"guess: {_PUBLIC_LIMITS}" if unit.limits else _COARSE_LIMITS,
        "decimals": decimals_note,
        "missing_codes": codes_note,
        "loinc": _loinc_note(found),
    }
    heading = tuple(_heading(raw, quantity, missing))
    source = source_of(raw, unit.source_unit)
    return ColumnDraft(column, source, heading, said(notes), quantity=found)


def _unit_of(found: Quantity | None) -> _Unit:
    if found is None:
        return _Unit("1", None, None, None)
    if found.entry.quantity == "age" and found.entry.unit == "d":
        years = next(entry for entry in ranges_by_unit("age") if entry.unit == "a")
        reason = "guess: the source has days, which nearly tell the birth date; they are converted to years"
        return _Unit("a", "d", reason, years.value)
    return _Unit(found.entry.unit, None, f"guess: {found.reason}", found.entry.value)


def _decimals_of(raw: RawColumn, datatype: Datatype, unit: _Unit) -> tuple[int | None, str | None]:
    if datatype != "number":
        return None, None
    if unit.source_unit is not None:
        return 1, "guess: converted values are rounded to this"
    if raw.profile.places > MAX_DECIMALS:
        return None, None
    return raw.profile.places, "guess: no value is written with more"


def _loinc_note(found: Quantity | None) -> str | None:
    if found is None or found.loinc is None:
        return None
    others = ", ".join(code for code in found.entry.loincs if code != found.loinc)
    return "guess: the name and the unit" + (f"; other specimens and methods: {others}" if others else "")


def _heading(raw: RawColumn, quantity: Quantity | str | None, missing: tuple[str, ...]) -> list[str]:
    lines = []
    if isinstance(quantity, str):
        lines.append(f"guess: {quantity}; drafted as a plain number")
    elif quantity is not None and _has_impossible(raw, quantity, missing):
        lines.append("some values are impossible for this quantity and will be refused: correct them at the source")
    if raw.profile.places > MAX_DECIMALS:
        lines.append(f"written with more than {MAX_DECIMALS} decimals: round them at the source, and declare decimals")
    return lines


def _has_impossible(raw: RawColumn, quantity: Quantity, missing: tuple[str, ...]) -> bool:
    low, high = quantity.entry.value
    return any(not low <= value <= high for value in raw.profile.extremes(missing))
