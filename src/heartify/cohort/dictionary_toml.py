"""The data dictionary as a steward writes it: a TOML file, converted strictly into `StewardDictionary`.

The text is not trusted: unknown fields, wrong types and contradictions are refused with the file and the column's
name, and so is a draft that nobody has reviewed. docs/reference/dictionary.md describes the form.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from heartify.cohort.steward_dictionary import CatalogueDetails, ColumnSource, Organisation, StewardDictionary
from heartify.cohort.units.conversion import find_conversion
from heartify.cohort.units.ucum import parse_unit
from heartify.errors import DocumentError, InputError
from heartify.protocol.dictionary import DICTIONARY_FORMAT, DataDictionary

__all__ = [
    "CatalogueDetails",
    "ColumnSource",
    "Organisation",
    "StewardDictionary",
    "load_dictionary_toml",
    "load_steward_dictionary",
    "parse_dictionary_toml",
    "parse_steward_dictionary",
]

MAX_DICTIONARY_BYTES = 4 * 1024 * 1024


def load_steward_dictionary(path: Path) -> StewardDictionary:
    """Read a steward's dictionary file with all its parts.

    Raises InputError when it cannot be read or is an unreviewed draft, DocumentError when it is wrong.
    """
    return parse_steward_dictionary(_read(path), file=path.name)


def parse_steward_dictionary(text: str, *, file: str) -> StewardDictionary:
    """Parse the TOML form, and check every unit by the whole grammar of UCUM; `file` is the name for messages.

    Raises DocumentError that says where and what is wrong, InputError for a unit or a draft nobody reviewed.
    """
    steward = _parse(text, file)
    try:
        _check_units(steward)
    except InputError as exc:
        raise type(exc)(f"{file}: {exc.message}", hint=exc.hint) from exc
    return steward


def load_dictionary_toml(path: Path) -> DataDictionary:
    """Read the public part of a dictionary file.

    Raises InputError when it cannot be read or is an unreviewed draft, DocumentError when it is wrong.
    """
    return parse_dictionary_toml(_read(path), file=path.name)


def parse_dictionary_toml(text: str, *, file: str) -> DataDictionary:
    """Parse the public part of the TOML form; `file` is the name for messages.

    Raises DocumentError that says where and what is wrong, InputError for a draft nobody reviewed.
    """
    return _parse(text, file).dictionary


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_DICTIONARY_BYTES + 1)
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the data dictionary: {exc.strerror}") from exc
    if len(data) > MAX_DICTIONARY_BYTES:
        raise InputError(f"{path.name}: larger than {MAX_DICTIONARY_BYTES} bytes", hint="this is no data dictionary")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path.name}: not UTF-8", hint="save the file as UTF-8") from exc


def _parse(text: str, file: str) -> StewardDictionary:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise DocumentError(f"{file}: not TOML: {exc}", hint="text values need quotes; see toml.io") from exc
    except RecursionError as exc:
        raise DocumentError(f"{file}: nested too deeply", hint="this is no data dictionary") from exc
    _check_reviewed(document.pop("reviewed", True), file)
    try:
        return _convert(document)
    except msgspec.ValidationError as exc:
        raise DocumentError(f"{file}: {_with_column(str(exc), document)}", hint="see the dictionary reference") from exc
    except DocumentError as exc:
        raise DocumentError(f"{file}: {exc.message}", hint=exc.hint) from exc


def _check_reviewed(reviewed: object, file: str) -> None:
    if not isinstance(reviewed, bool):
        raise DocumentError(f"{file}: reviewed is neither true nor false", hint="write reviewed = true")
    if not reviewed:
        raise InputError(
            f"{file}: this draft has not been reviewed",
            hint="check every line marked as a guess, then write reviewed = true",
        )


def _convert(document: dict[str, object]) -> StewardDictionary:
    """Take the steward's own parts out of the document; what remains is the public dictionary."""
    catalogue = msgspec.convert(document.pop("catalogue", {}), CatalogueDetails, strict=True)
    found = _take_sources(document.get("columns"))
    document.setdefault("format", DICTIONARY_FORMAT)
    dictionary = msgspec.convert(document, DataDictionary, strict=True)
    # Only now is it certain that every column has a name.
    sources = {
        column.name: _convert_source(column.name, found[index])
        for index, column in enumerate(dictionary.columns)
        if index in found
    }
    return StewardDictionary(dictionary, sources, catalogue)


def _take_sources(columns: object) -> dict[int, object]:
    """Remove and return the `source` of each column, by the column's position."""
    tables = columns if isinstance(columns, list) else []
    return {
        index: table.pop("source")
        for index, table in enumerate(tables)
        if isinstance(table, dict) and "source" in table
    }


def _convert_source(column: str, table: object) -> ColumnSource:
    if isinstance(table, dict):
        table = {"name": column} | table
    try:
        return msgspec.convert(table, ColumnSource, strict=True)
    except msgspec.ValidationError as exc:
        raise DocumentError(
            f"source of dictionary column '{column}': {exc}", hint='write source = { name = "...", unit = "..." }'
        ) from exc


def _check_units(steward: StewardDictionary) -> None:
    """Check each unit by the whole grammar, and that the source's unit converts into it."""
    for column in steward.dictionary.columns:
        where = f"dictionary column '{column.name}'"
        if column.unit != "1":
            parse_unit(column.unit, where=where)
        unit = steward.source_of(column).unit
        if unit is None or unit == column.unit:
            continue
        try:
            find_conversion(unit, column.unit, loinc=column.loinc)
        except InputError as exc:
            raise type(exc)(f"{where}: {exc.message}", hint=exc.hint) from exc


def _with_column(message: str, document: dict[str, object]) -> str:
    """Replace an index such as `$.columns[3]` by the column's name, which is what a steward can search for."""
    columns = document.get("columns")
    if not isinstance(columns, list):
        return message
    for index, column in enumerate(columns):
        name = column.get("name") if isinstance(column, dict) else None
        if isinstance(name, str):
            message = message.replace(f"$.columns[{index}]", f"column '{name}'")
    return message
