"""Write a steward's dictionary as the TOML that a person likes to edit: stable order, and no field left at its default.

What is written reads back as the same dictionary. Notes become comments; a note may hold names of columns, and never a
patient's value. Texts are escaped, so that none of them can end its line or its quotes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.protocol.dictionary import Column, Level

LINE_LENGTH = 120

_FIELD_ORDER = "datatype role unit minimum maximum decimals precision missing_codes levels loinc snomed omop filterable"


@dataclass(frozen=True, slots=True)
class DraftNotes:
    """Comments beside a dictionary: at its head, about a column as a whole, about one field of a column, at its end.

    A draft is marked `reviewed = false`, which every reader refuses.
    """

    head: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[tuple[str, str], str] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
    is_draft: bool = False


def write_steward_toml(steward: StewardDictionary, *, notes: DraftNotes | None = None) -> str:
    """Return the TOML form, with notes as comments."""
    notes = notes or DraftNotes()
    dictionary = steward.dictionary
    lines = [_comment(line) for line in notes.head]
    if notes.is_draft:
        lines += ["reviewed = false", ""]
    lines += [f"title = {quote(dictionary.title)}", f"description = {quote(dictionary.description)}"]
    for column in dictionary.columns:
        lines += ["", "[[columns]]", *map(_comment, notes.columns.get(column.name, ()))]
        lines += _column_lines(steward, column, notes)
    catalogue = list(_catalogue_lines(steward))
    if catalogue:
        lines += ["", "[catalogue]", *catalogue]
    if notes.tail:
        lines += ["", *map(_comment, notes.tail)]
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    """Return a text as a TOML basic string on one line (TOML 1.0, "String"; JSON escapes all of it but DEL)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _column_lines(steward: StewardDictionary, column: Column, notes: DraftNotes) -> Iterator[str]:
    yield f"name = {quote(column.name)}"
    yield from _line("title", quote(column.title), notes.fields.get((column.name, "title")))
    if column.description:
        yield f"description = {quote(column.description)}"
    source = steward.sources.get(column.name)
    if source is not None:
        parts = [("name", source.name)] if source.unit is None else [("name", source.name), ("unit", source.unit)]
        yield from _line("source", _inline(parts), notes.fields.get((column.name, "source")))
    defaults = {item.name: item.default for item in msgspec.structs.fields(Column)}
    for name in _FIELD_ORDER.split():
        value = getattr(column, name)
        if value != defaults[name]:
            yield from _line(name, _value(value), notes.fields.get((column.name, name)))


def _catalogue_lines(steward: StewardDictionary) -> Iterator[str]:
    for item in msgspec.structs.fields(type(steward.catalogue)):
        value = getattr(steward.catalogue, item.name)
        if value != item.default and value is not None:
            yield f"{item.name} = {_value(value)}"


def _line(name: str, value: str, note: str | None) -> Iterator[str]:
    """Yield a field with its note: behind it where the line is long enough for both, above it where not."""
    line = f"{name} = {value}"
    if note is None:
        yield line
        return
    comment = _comment(note)
    last = line.rsplit("\n", 1)[-1]
    if "\n" not in line and len(last) + 2 + len(comment) <= LINE_LENGTH:
        yield f"{line}  {comment}"
    else:
        yield comment
        yield line


def _value(value: object) -> str:
    """Return a value of the document in TOML; the types are those of Column and CatalogueDetails."""
    if isinstance(value, bool | int | float):
        return _number(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, tuple):
        return _array(value)
    return _inline([(name, text) for name, text in msgspec.structs.asdict(value).items() if text is not None])  # type: ignore[arg-type]


def _number(value: float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _array(values: tuple[object, ...]) -> str:
    """Return an array: levels one a line, texts on one line."""
    if values and isinstance(values[0], Level):
        return "[\n" + "".join(f"  {_value(level)},\n" for level in values) + "]"
    return "[" + ", ".join(_value(value) for value in values) + "]"


def _inline(parts: list[tuple[str, str]]) -> str:
    return "{ " + ", ".join(f"{name} = {quote(text)}" for name, text in parts) + " }"


def _comment(text: str) -> str:
    """Return a comment; control characters, which TOML forbids there, become blanks."""
    return "# " + "".join(letter if letter.isprintable() else " " for letter in text) if text else ""
