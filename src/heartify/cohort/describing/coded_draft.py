"""Draft columns of codes, truth values, dates, ids and texts: everything that isn't measured."""

from __future__ import annotations

from collections.abc import Mapping

from heartify.cohort.describing.column_draft import (
    ColumnDraft,
    RawColumn,
    guess_missing_codes,
    guess_role,
    leave_out,
    said,
    source_of,
)
from heartify.cohort.describing.levels import LONGEST_CODE, MIN_ROWS, draft_levels
from heartify.cohort.describing.name_roles import is_sex_name
from heartify.cohort.describing.profile import ColumnProfile
from heartify.cohort.lint.identifying_texts import identifying_kind
from heartify.protocol.dictionary import Column

MANY_CODES = 50
MANY_WORDS = 4
_TRUTH = frozenset({"true", "false", "0", "1"})


def draft_id(raw: RawColumn, reason: str) -> ColumnDraft:
    """Draft a column that stands for a patient: read and checked, never published."""
    heading = () if raw.profile.is_all_different else ("guess: an id, but some stand in more than one row: check that",)
    column = Column(name=raw.name, title=raw.title, datatype="category", role="id")
    return ColumnDraft(column, source_of(raw), heading, {"role": f"guess: {reason}; ids are never published"})


def draft_date(raw: RawColumn) -> ColumnDraft:
    """Draft a column of dates; publishing will doubt it, as full dates identify people."""
    missing, missing_note = guess_missing_codes(raw)
    column = Column(name=raw.name, title=raw.title, datatype="date", role="time", missing_codes=missing)
    heading = ("full dates identify people: publish a year or the days between two dates instead",)
    notes = said({"role": "guess: a date", "missing_codes": missing_note})
    return ColumnDraft(column, source_of(raw), heading, notes)


def draft_boolean(raw: RawColumn, missing_numbers: tuple[str, ...] = ()) -> ColumnDraft:
    """Draft a column of 0 and 1, or true and false."""
    missing, missing_note = guess_missing_codes(raw, missing_numbers)
    role, role_note = guess_role(raw, "boolean")
    column = Column(name=raw.name, title=raw.title, datatype="boolean", role=role, missing_codes=missing)
    notes = said(
        {"datatype": "guess: nothing but 0 and 1, or true and false", "role": role_note, "missing_codes": missing_note}
    )
    return ColumnDraft(column, source_of(raw), (), notes)


def draft_category(raw: RawColumn, codes: Mapping[str, int], missing_numbers: tuple[str, ...] = ()) -> ColumnDraft:
    """Draft a column of codes, or leave it out when none of them may be named."""
    found = draft_levels(codes, missing=missing_numbers, is_sex=is_sex_name(raw.source_name))
    if not found.levels:
        return leave_out(f"coded, but no code has {MIN_ROWS} rows")
    missing, missing_note = guess_missing_codes(raw, missing_numbers)
    role, role_note = guess_role(raw, "category")
    column = Column(
        name=raw.name, title=raw.title, datatype="category", role=role, levels=found.levels, missing_codes=missing
    )
    note = "guess: write what each code means"
    if found.rare_codes:
        note += f"; rarer codes that are not listed (each in fewer than {MIN_ROWS} rows): {found.rare_codes}"
    notes = {"datatype": "guess: few distinct codes", "role": role_note, "missing_codes": missing_note, "levels": note}
    return ColumnDraft(column, source_of(raw), (), said(notes))


def draft_text(raw: RawColumn) -> ColumnDraft:
    """Draft a column of texts: as a category when they are a few short codes, as an id when each row has its own."""
    profile = raw.profile
    if profile.codes and {code.lower() for code in profile.codes} <= _TRUTH and not is_sex_name(raw.source_name):
        return draft_boolean(raw)
    is_short = profile.longest <= LONGEST_CODE
    if profile.is_all_different and profile.known >= 2 * MIN_ROWS and is_short and profile.most_words <= 2:
        return draft_id(raw, "every row has a text of its own")
    reason = _unfit_text(profile)
    return draft_category(raw, profile.codes or {}) if reason is None else leave_out(reason)


def _unfit_text(profile: ColumnProfile) -> str | None:
    """Return why texts can't be levels, None when they can."""
    if profile.forms["whole"] + profile.forms["decimal"] > profile.known / 2 and not profile.leading_zeros:
        return "numbers mixed with other texts: correct them at the source, or list the texts as missing codes"
    if profile.longest > LONGEST_CODE or profile.most_words > MANY_WORDS:
        return "free text"
    if profile.codes is None or len(profile.codes) > MANY_CODES:
        return f"more than {MANY_CODES} different texts"
    kinds = {identifying_kind(code) for code in profile.codes} - {None, "person", "postcode"}
    return f"texts that look like {' or '.join(sorted(str(kind) for kind in kinds))}" if kinds else None
