"""The hospital's commands around a dataset: describe a source, check it, publish it as the next version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.dataset_tables import findings_table, survey_table
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import messages, say, show, table
from heartify.cli.progress import step_progress
from heartify.cli.source_arguments import (
    Decimal,
    Delimiter,
    Dictionary,
    Encoding,
    Ignore,
    MappingFile,
    Query,
    Source,
    SqlPasswordFile,
    Table,
    source_options,
)
from heartify.cohort.describing.describe import describe_source
from heartify.errors import UsageError
from heartify.hospital.hospital import Hospital
from heartify.hospital.publishing.open_source import CohortSource
from heartify.hospital.publishing.terms import Decisions, Registration
from heartify.party.home import write_atomically


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
    _check_new(out)
    chosen = source_options(delimiter, decimal, encoding, sql_table, query, sql_password_file)
    with messages.status("reading the source"):
        text = describe_source(source, chosen)
    _check_new(out)
    write_atomically(out, text.encode())
    guesses = text.count("# guess: ")
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
    chosen = source_options(delimiter, decimal, encoding, sql_table, query, sql_password_file, ignore)
    with step_progress(messages) as report:
        checked = Hospital(home, b"").check(CohortSource(source, dictionary, chosen, mapping), report=report)
    survey, derivation = checked.survey, checked.derivation

    def human(console: Console) -> None:
        if derivation is not None:
            console.print(derivation.text(), markup=False)
        console.print(survey_table(survey))
        console.print(findings_table(survey.findings))

    document = {
        "rows": survey.rows,
        "derivation": derivation,
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
    register_later: Annotated[
        bool, typer.Option(help="Do everything but tell the market; the same command without it goes on.")
    ] = False,
    public_store: Annotated[
        str | None, typer.Option(help="Where others read this version, if not at the hospital's usual address.")
    ] = None,
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
        accepted_findings=_acceptances(accept or []),
        few_changes_reason=few_changes_reason,
        without_statistics=frozenset(without_statistics or ()),
        synthetic_twin=synthetic_twin,
    )
    chosen = source_options(delimiter, decimal, encoding, sql_table, query, sql_password_file, ignore)
    hospital = Hospital(home, options.password(password_file))
    with step_progress(messages) as report:
        published = hospital.publish(
            CohortSource(source, dictionary, chosen, mapping),
            dataset_name=dataset,
            decisions=decisions,
            registration=Registration(later=register_later, public_store_url=public_store),
            report=report,
        )
    if published.resumed:
        say("a publication that had been killed was continued")
    if not published.registered:
        say("the market was not told yet: the same command without --register-later does")
    if published.opted_out:
        say(f"{published.opted_out} rows were left out: their patients opted out")
    if published.missing_details:
        say(f"the catalogue record lacks {', '.join(published.missing_details)}: see [catalogue] of the dictionary")
    rows = [
        ["dataset", published.dataset],
        ["version", published.version],
        ["columns", ", ".join(published.columns)],
        ["rows (rounded)", str(published.rows_rounded)],
        ["documents", ", ".join(published.documents)],
    ]
    show(published, as_json=as_json, human=lambda c: c.print(table(["published", ""], rows)))


def _check_new(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} is there already", hint="name another file: your own words are never overwritten")


def _acceptances(items: list[str]) -> dict[str, str]:
    accepted: dict[str, str] = {}
    for item in items:
        name, _, reason = (part.strip() for part in item.partition("="))
        if not name or not reason:
            raise UsageError(f"--accept {item!r} has no reason", hint="write --accept 'NAME=why this is all right'")
        if name in accepted:
            raise UsageError(f"--accept has two reasons for {name!r}", hint="give one")
        accepted[name] = reason
    return accepted
