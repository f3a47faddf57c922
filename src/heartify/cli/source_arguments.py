"""The arguments by which a steward names a source and says how it is written; shared by describe, check, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from heartify.cohort.sources.source_options import SourceOptions
from heartify.errors import UsageError

Source = Annotated[
    str,
    typer.Argument(help="CSV or Parquet file, folder of Parquet, OMOP or FHIR files, or a database URL (no password)."),
]
Dictionary = Annotated[Path, typer.Option(help="The data dictionary (TOML).")]
MappingFile = Annotated[
    Path | None, typer.Option(help="How OMOP or FHIR records become one row a patient (TOML); for those alone.")
]
Delimiter = Annotated[str | None, typer.Option(help="What separates the fields of a text file; found if not given.")]
Decimal = Annotated[str | None, typer.Option(help="The decimal mark of a text file: . or ,")]
Encoding = Annotated[str | None, typer.Option(help="Of a text file, such as windows-1252; UTF-8 if not given.")]
Table = Annotated[str | None, typer.Option(help="The table of a database; with a schema: schema.table.")]
Query = Annotated[str | None, typer.Option(help="One SELECT statement with ORDER BY, instead of a table.")]
SqlPasswordFile = Annotated[Path | None, typer.Option(help="File with the database's password.")]
Ignore = Annotated[list[str] | None, typer.Option(help="Column of the source to leave out. May be repeated.")]

_SPELLED_DELIMITERS = {"\\t": "\t", "tab": "\t"}


def source_options(
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    sql_table: str | None,
    query: str | None,
    password_file: Path | None,
    ignore: list[str] | None = None,
) -> SourceOptions:
    """Return the options of a source.

    Raises UsageError for a delimiter or a decimal mark that no text file has.
    """
    return SourceOptions(
        ignore=tuple(ignore or ()),
        delimiter=_delimiter(delimiter),
        decimal=_decimal(decimal),
        encoding=encoding,
        table=sql_table,
        query=query,
        password_file=password_file,
    )


def _delimiter(spelled: str | None) -> str | None:
    if spelled is None:
        return None
    character = _SPELLED_DELIMITERS.get(spelled, spelled)
    if len(character) != 1 or character.isalnum() or character in "\r\n\"'":
        raise UsageError(f"the delimiter is {spelled!r}", hint="give one character, such as ; or tab")
    return character


def _decimal(mark: str | None) -> Literal[".", ","] | None:
    match mark:
        case None | "." | ",":
            return mark
        case _:
            raise UsageError(f"the decimal mark is {mark!r}", hint="give . or ,")
