"""Open whatever a steward points at: a text file, a Parquet file or a folder of them, a database.

What it is follows from its name alone (a URL, a folder, a suffix), and an option that doesn't belong to it is refused:
an option without effect is a mistake that somebody relies on. Sources of events (OMOP, FHIR) need a mapping and are
opened by `heartify.cohort.events`, not here.
"""

from __future__ import annotations

from pathlib import Path

from heartify.cohort.dictionary_toml import StewardDictionary
from heartify.cohort.rows import PatientRows
from heartify.cohort.sources.byte_source import FileBytes
from heartify.cohort.sources.raw_table import RawTable
from heartify.cohort.sources.source_options import SourceOptions
from heartify.errors import InputError, UsageError

_TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
_PACKED_SUFFIXES = (".gz", ".zst")
_TEXT_OPTIONS = ("delimiter", "decimal", "encoding")
_SQL_OPTIONS = ("table", "query", "password_file")
_SPELLED = {"table": "sql-table", "password_file": "sql-password-file"}
"""Options that a steward writes in other words than the field's name."""

_DEFAULT = SourceOptions()


def open_rows(source: str, steward: StewardDictionary, options: SourceOptions = _DEFAULT) -> PatientRows:
    """Open a source of one row a patient.

    Raises InputError when it can't be read, UsageError when it is of no kind that is read, or an option doesn't fit.
    """
    if "://" in source:
        from heartify.cohort.sources.sql_rows import SqlRows

        _refuse_options(options, _TEXT_OPTIONS, "a database")
        return SqlRows(
            source,
            steward.dictionary,
            table=options.table,
            query=options.query,
            sources=steward.sources,
            ignore=options.ignore,
            password_file=options.password_file,
        )
    _refuse_options(options, _SQL_OPTIONS, "a file")
    path = Path(source)
    if _is_parquet(path):
        from heartify.cohort.sources.parquet_rows import ParquetRows

        _refuse_options(options, _TEXT_OPTIONS, "Parquet")
        return ParquetRows(path, steward.dictionary, sources=steward.sources, ignore=options.ignore)
    from heartify.cohort.sources.csv_rows import CsvRows

    return CsvRows(
        path,
        steward.dictionary,
        sources=steward.sources,
        ignore=options.ignore,
        delimiter=_text_delimiter(path, options),
        decimal=options.decimal,
        encoding=options.encoding,
    )


def open_raw(source: str, options: SourceOptions = _DEFAULT) -> RawTable:
    """Open a source without a dictionary, as texts, to draft one from. `ignore` and `decimal` make no difference.

    Raises InputError when it can't be read, UsageError when it is of no kind that is read, or an option doesn't fit.
    """
    if "://" in source:
        from heartify.cohort.sources.sql_raw import SqlRaw

        _refuse_options(options, _TEXT_OPTIONS, "a database")
        return SqlRaw(source, table=options.table, query=options.query, password_file=options.password_file)
    _refuse_options(options, _SQL_OPTIONS, "a file")
    path = Path(source)
    if _is_parquet(path):
        from heartify.cohort.sources.parquet_raw import ParquetRaw

        _refuse_options(options, _TEXT_OPTIONS, "Parquet")
        return ParquetRaw(path)
    from heartify.cohort.sources.csv_raw import CsvRaw

    return CsvRaw(FileBytes(path), delimiter=_text_delimiter(path, options), encoding=options.encoding)


def _is_parquet(path: Path) -> bool:
    """Tell a Parquet file or folder from a text file, by its name.

    Raises UsageError for what is neither.
    """
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")) or path.is_dir():
        return True
    for packed in _PACKED_SUFFIXES:
        name = name.removesuffix(packed)
    if name.endswith(_TEXT_SUFFIXES):
        return False
    if not path.exists():
        raise InputError(f"{path.name}: cannot read the source: no such file", hint="check the path")
    raise UsageError(
        f"{path.name}: of no kind that is read",
        hint="text (.csv, .tsv, .txt, also .gz or .zst), .parquet or a folder of them, or a database's URL",
    )


def _text_delimiter(path: Path, options: SourceOptions) -> str | None:
    """Return the delimiter given; a .tsv file has tabs."""
    return "\t" if options.delimiter is None and ".tsv" in path.suffixes else options.delimiter


def _refuse_options(options: SourceOptions, names: tuple[str, ...], kind: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise UsageError(f"the option {_SPELLED.get(name, name)} has no meaning for {kind}", hint="leave it out")
