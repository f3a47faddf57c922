"""The draft of a whole dictionary: every column of the source drafted or left out, with notes for the steward.

A draft is marked as not reviewed, and nothing can be published with it until a person has looked at every guess.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from heartify.cohort.describing.coded_draft import draft_date, draft_id, draft_text
from heartify.cohort.describing.column_draft import ColumnDraft, RawColumn, leave_out
from heartify.cohort.describing.levels import DESCRIBE, MIN_ROWS
from heartify.cohort.describing.missing import FEW_CODES
from heartify.cohort.describing.name_roles import direct_identifier, is_id_name, is_sex_name
from heartify.cohort.describing.name_words import usable_name
from heartify.cohort.describing.numeric_draft import draft_numbers
from heartify.cohort.describing.profile import SourceProfile, profile_source
from heartify.cohort.dictionary_writing import DraftNotes, quote, write_steward_toml
from heartify.cohort.sources.raw_table import RawTable
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.errors import InputError
from heartify.protocol.dictionary import MAX_TEXT, DataDictionary, Level

TALLER_CM = 5.0
TALLER_ROWS = 50

_HEAD = (
    "Draft of a data dictionary. Everything marked '# guess:' was guessed from names and values: check it.",
    "Labels that end with (describe) want a meaning. A dictionary is public; this draft holds no patient's value",
    f"beyond codes that at least {MIN_ROWS} rows have: rarer codes are counted, and limits lie outside what there is.",
    "When every guess has been looked at, write reviewed = true. Nothing is published before.",
    "",
)
_CATALOGUE_EXAMPLE = (
    "For the catalogue; see the dictionary reference for all fields:",
    "[catalogue]",
    'publisher = { name = "...", url = "https://...", email = "..." }',
    'contact = { name = "...", email = "..." }',
    'purpose = "..."',
    'provenance = "..."',
    'keywords = ["...", "..."]',
    'spatial = ["DE"]',
)


@dataclass(frozen=True, slots=True)
class DraftDictionary:
    """A drafted dictionary, its notes, and the columns of the source that it leaves out, with reasons."""

    steward: StewardDictionary
    notes: DraftNotes
    left_out: Mapping[str, str]

    def to_toml(self) -> str:
        """Return the text of the draft, marked as not reviewed."""
        return write_steward_toml(self.steward, notes=self.notes)


def draft_dictionary(raw: RawTable, *, random: np.random.Generator) -> DraftDictionary:
    """Draft a dictionary in one pass over a source, in bounded memory.

    Raises InputError when the source can't be read, or nothing in it can be drafted.
    """
    source = profile_source(raw, random=random)
    columns = _name_columns(source)
    drafts = {column.source_name: _draft_column(column) for column in columns}
    drafts = _name_sexes(_distinct_titles(drafts), source)
    found = [draft for draft in drafts.values() if draft.column is not None]
    if all(draft.column is None or draft.column.role == "id" for draft in found):
        raise InputError(
            f"{source.name}: no column can be drafted",
            hint=f"codes need {MIN_ROWS} rows to be named; write the dictionary by hand",
        )
    dictionary = DataDictionary(
        title=f"Draft from {source.name}"[:MAX_TEXT],
        description="",
        columns=tuple(draft.column for draft in found if draft.column is not None),
    )
    sources = {draft.column.name: draft.source for draft in found if draft.column and draft.source}
    left_out = {name: draft.left_out for name, draft in drafts.items() if draft.column is None}
    return DraftDictionary(StewardDictionary(dictionary, sources), _notes(found, left_out), left_out)


def _name_columns(source: SourceProfile) -> list[RawColumn]:
    taken: set[str] = set()
    columns = []
    for position, (source_name, profile) in enumerate(source.columns.items(), start=1):
        name = usable_name(source_name, position, taken)
        taken.add(name.lower())
        is_last = position == len(source.columns) > 1
        columns.append(RawColumn(source_name, name, profile, source.sample[source_name], is_last))
    return columns


def _draft_column(raw: RawColumn) -> ColumnDraft:
    """Choose how to draft a column by what its texts have in common."""
    reason = _unfit(raw)
    if reason is not None:
        return leave_out(reason)
    profile = raw.profile
    if profile.forms["date"] == profile.known:
        return draft_date(raw)
    if profile.is_numeric and not profile.leading_zeros:
        return draft_numbers(raw)
    if is_id_name(raw.source_name) and (profile.is_all_different or profile.codes is None):
        return draft_id(raw, "the name")
    return draft_text(raw)


def _unfit(raw: RawColumn) -> str | None:
    """Return why a column can't be drafted, whatever its texts are; None when it can."""
    profile = raw.profile
    if not 0 < len(raw.source_name) <= MAX_TEXT:
        return "it has no name, or an overlong one"
    if profile.known == 0:
        return "nothing but missing values"
    identifier = direct_identifier(raw.source_name)
    # A few codes hold no name or address, whatever the column is called ('lat' is also an infarction's place).
    if identifier is not None and (profile.codes is None or len(profile.codes) > FEW_CODES):
        return f"its name announces {identifier}"
    if profile.forms["moment"]:
        return "dates or times that are not written YYYY-MM-DD: convert them, best to years or durations"
    return None


def _distinct_titles(drafts: Mapping[str, ColumnDraft]) -> dict[str, ColumnDraft]:
    """Add the source's name to titles that would stand twice."""
    titles = collections.Counter(draft.column.title for draft in drafts.values() if draft.column is not None)
    return {
        name: _with_column(draft, title=f"{draft.column.title} ({name})"[:MAX_TEXT])
        if draft.column is not None and titles[draft.column.title] > 1
        else draft
        for name, draft in drafts.items()
    }


def _name_sexes(drafts: Mapping[str, ColumnDraft], source: SourceProfile) -> dict[str, ColumnDraft]:
    """Label a coded sex by who is taller, where that is clear: men are, by 13 cm in most populations."""
    heights = [name for name, draft in drafts.items() if draft.quantity and draft.quantity.entry.unit == "cm"]
    heights = [name for name in heights if drafts[name].quantity.entry.quantity == "body height"]  # type: ignore[union-attr]
    if len(heights) != 1:
        return dict(drafts)
    return {
        name: _label_sexes(draft, source, name, heights[0]) if _is_coded_sex(draft, name) else draft
        for name, draft in drafts.items()
    }


def _is_coded_sex(draft: ColumnDraft, name: str) -> bool:
    column = draft.column
    return (
        column is not None
        and is_sex_name(name)
        and len(column.levels) == 2
        and all(level.label.endswith(DESCRIBE) for level in column.levels)
    )


def _label_sexes(draft: ColumnDraft, source: SourceProfile, name: str, height: str) -> ColumnDraft:
    levels = draft.column.levels if draft.column is not None else ()
    values, heights = source.sample[name], source.sample[height]
    groups = [heights[(values == float(level.code)) & ~np.isnan(heights)] for level in levels if _is_number(level)]
    if len(groups) != 2 or min(map(len, groups)) < TALLER_ROWS:
        return draft
    difference = float(np.median(groups[1]) - np.median(groups[0]))
    if abs(difference) < TALLER_CM:
        return draft
    labels = ("female", "male") if difference > 0 else ("male", "female")
    named = tuple(Level(code=level.code, label=label) for level, label in zip(levels, labels, strict=True))
    labelled = _with_column(draft, levels=named)
    return replace(labelled, notes=labelled.notes | {"levels": "guess: the code whose patients are taller is male"})


def _is_number(level: Level) -> bool:
    return level.code.lstrip("+-").isdecimal()


def _with_column(draft: ColumnDraft, **changes: object) -> ColumnDraft:
    if draft.column is None:
        return draft
    return replace(draft, column=msgspec.structs.replace(draft.column, **changes))


def _notes(drafts: Iterable[ColumnDraft], left_out: Mapping[str, str]) -> DraftNotes:
    columns: dict[str, tuple[str, ...]] = {}
    fields: dict[tuple[str, str], str] = {}
    for draft in drafts:
        if draft.column is not None:
            columns[draft.column.name] = draft.heading
            fields |= {(draft.column.name, field): note for field, note in draft.notes.items()}
    tail = [f"left out: {quote(name)}: {reason}" for name, reason in left_out.items()]
    if tail:
        tail = ["Columns of the source that are left out must be named with --ignore when it is published:", *tail, ""]
    return DraftNotes(_HEAD, columns, fields, (*tail, *_CATALOGUE_EXAMPLE), is_draft=True)
