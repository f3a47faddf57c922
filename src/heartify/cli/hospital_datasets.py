"""The hospital's commands around a dataset: describe a source, check it, publish it as the next version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from heartify.cli import options
from heartify.cli.dataset_tables import findings_table, survey_table
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import messages, say, show, table
from heartify.cohort.describing.describe import describe_source
from heartify.cohort.sources.source_options import SourceOptions
from heartify.errors import UsageError
from heartify.hospital.hospital import Hospital
from heartify.hospital.publishing.open_source import CohortSource
from heartify.hospital.publishing.terms import Decisions, Report, Step
from heartify.party.home import write_atomically

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


def describe(
    source: Source,
    out: Annotated[Path, typer.Option(help="The TOML file to write; an existing one is never replaced.")],
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    sql_table: Table = None,
    query: Query = None,
    sql_password_file: SqlPasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Draft a data dictionary from the data: types, limits, missing codes, units, LOINC codes, each guess marked.

    Example: heartify hospital describe cohort.csv --out dictionary.toml
    """
    if out.exists():
        raise UsageError(f"{out} is there already", hint="name another file: your own words are never overwritten")
    chosen = _options(delimiter, decimal, encoding, sql_table, query, sql_password_file)
    with messages.status("reading the source"):
        text = describe_source(source, chosen)
    write_atomically(out, text.encode())
    guesses = text.count("# guess")
    show(
        {"dictionary": str(out), "guesses": guesses},
        as_json=as_json,
        human=lambda c: c.print(
            f"{out}: a draft with {guesses} guesses. Read each, correct it, then set reviewed = true.", markup=False
        ),
    )


def check(
    source: Source,
    dictionary: Dictionary,
    mapping: MappingFile = None,
    ignore: Ignore = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    sql_table: Table = None,
    query: Query = None,
    sql_password_file: SqlPasswordFile = None,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Look for faults and identifiers in a cohort, as publishing would, without publishing anything.

    Example: heartify hospital check cohort.csv --dictionary dictionary.toml
    """
    chosen = _options(delimiter, decimal, encoding, sql_table, query, sql_password_file, ignore)
    with _progress() as report:
        survey = Hospital(home, b"").check(CohortSource(source, dictionary, chosen, mapping), report=report)

    def human(console: Console) -> None:
        console.print(survey_table(survey))
        console.print(findings_table(survey.findings))

    document = {
        "rows": survey.rows,
        "findings": [
            {"name": f.name, "code": f.code, "column": f.column, "message": f.message, "hint": f.hint}
            for f in survey.findings
        ],
    }
    show(document, as_json=as_json, human=human)


def publish(
    source: Source,
    dictionary: Dictionary,
    dataset: Annotated[str, typer.Option(help="Name of the dataset; the next version of it is made.")] = "cohort",
    accept: Annotated[list[str] | None, typer.Option(help="Accept a finding: NAME=REASON. May be repeated.")] = None,
    few_changes_reason: Annotated[
        str | None, typer.Option(help="Why a version may follow one that differs in fewer than 10 patients.")
    ] = None,
    without_statistics: Annotated[
        list[str] | None, typer.Option(help="Column whose statistics stay in the hospital. May be repeated.")
    ] = None,
    synthetic_twin: Annotated[bool, typer.Option(help="Publish a synthetic twin for free dry runs.")] = True,
    mapping: MappingFile = None,
    ignore: Ignore = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    sql_table: Table = None,
    query: Query = None,
    sql_password_file: SqlPasswordFile = None,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Check, encrypt, store and register a cohort as a new dataset version; a killed one is continued.

    Example: heartify hospital publish cohort.csv --dictionary dictionary.toml --home ./cleveland
    """
    decisions = Decisions(
        accepted_findings=dict(_split_acceptance(item) for item in accept or []),
        few_changes_reason=few_changes_reason,
        without_statistics=frozenset(without_statistics or ()),
        synthetic_twin=synthetic_twin,
    )
    chosen = _options(delimiter, decimal, encoding, sql_table, query, sql_password_file, ignore)
    hospital = Hospital(home, options.password(password_file))
    with _progress() as report:
        published = hospital.publish(
            CohortSource(source, dictionary, chosen, mapping), dataset_name=dataset, decisions=decisions, report=report
        )
    if published.resumed:
        say("a publication that had been killed was continued")
    if published.opted_out:
        say(f"{published.opted_out} rows were left out: their patients opted out")
    for missing in published.missing_details:
        say(f"the catalogue record lacks {missing}: add it under [catalogue] of the dictionary")
    rows = [
        ["dataset", published.dataset],
        ["version", published.version],
        ["columns", ", ".join(published.columns)],
        ["rows (rounded)", str(published.rows_rounded)],
        ["documents", ", ".join(published.documents)],
    ]
    show(published, as_json=as_json, human=lambda c: c.print(table(["published", ""], rows)))


@contextlib.contextmanager
def _progress() -> Iterator[Report]:
    """Show a bar for each step on stderr, where there is a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=messages, transient=True) as progress:
        tasks = {}

        def report(step: Step, rows: int, fraction: float | None) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=None, rows=0)
            total = None if fraction is None else 1.0
            progress.update(tasks[step], total=total, completed=fraction or 0.0, rows=rows)

        yield report


def _options(
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    sql_table: str | None,
    query: str | None,
    password_file: Path | None,
    ignore: list[str] | None = None,
) -> SourceOptions:
    return SourceOptions(
        ignore=tuple(ignore or ()),
        delimiter={"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter),
        decimal=_decimal(decimal),
        encoding=encoding,
        table=sql_table,
        query=query,
        password_file=password_file,
    )


def _decimal(mark: str | None) -> Literal[".", ","] | None:
    match mark:
        case None | "." | ",":
            return mark
        case _:
            raise UsageError(f"the decimal mark is {mark!r}", hint="give . or ,")


def _split_acceptance(item: str) -> tuple[str, str]:
    name, separator, reason = item.partition("=")
    if not separator or not reason.strip():
        raise UsageError(f"--accept {item!r} has no reason", hint="write --accept 'NAME=why this is all right'")
    return name.strip(), reason.strip()
