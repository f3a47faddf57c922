"""How audit logs and verdicts look to people."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.verdict import AuditVerdict
from heartify.cli.output import after_document, short, show, table
from heartify.errors import UsageError

KnownRestores = Annotated[
    list[str] | None,
    typer.Option(
        "--known-restore", help="Digest of an entry `restored` whose losses you know the reason of; may be repeated."
    ),
]


def entry_table(entries: list[AuditEntry]) -> Table:
    """Return entries as a table; ids are shortened, `--json` has them whole."""
    rows = [[str(entry.sequence), _time(entry.time), entry.event.value, _details(entry)] for entry in entries]
    return table(["no.", "time (broker's clock)", "event", "details"], rows)


def show_verdict(verdict: AuditVerdict, *, as_json: bool) -> None:
    """Show a verdict, and raise IntegrityError after it unless every check holds."""

    def human(console: Console) -> None:
        console.print(verdict_table(verdict))
        if verdict.differences:
            console.print(difference_table(verdict))

    show(verdict_document(verdict), as_json=as_json, human=human)
    with after_document():
        verdict.check()


def parse_known(digests: list[str] | None) -> frozenset[str]:
    """Return the digests of entries whose restores are known.

    Raises:
        UsageError: one isn't whole: a beginning could be that of another entry.
    """
    known = frozenset(digest.lower() for digest in digests or ())
    if any(re.fullmatch("0x[0-9a-f]{64}", digest) is None for digest in known):
        raise UsageError("a digest has 0x and 64 hex digits", hint="copy it whole from the check `restores`")
    return known


def verdict_table(verdict: AuditVerdict) -> Table:
    """Return a verdict's checks as a table."""
    rows = [[check.name, "holds" if check.passed else "FAILS", check.reason] for check in verdict.checks]
    whole = "" if verdict.chain_read else ", WITHOUT THE CHAIN: a log written anew from the beginning would pass"
    return table(["check", "", "reason"], rows, title=f"audit log of broker {verdict.broker}{whole}")


def difference_table(verdict: AuditVerdict) -> Table:
    """Return where log and chain disagree."""
    rows = [[short(d.deal), "" if d.sequence is None else str(d.sequence), d.text] for d in verdict.differences]
    return table(["deal", "entry", "difference from the chain"], rows)


def verdict_document(verdict: AuditVerdict) -> dict[str, object]:
    """Return what `--json` prints of a verdict."""
    return {
        "broker": verdict.broker,
        "passed": verdict.passed,
        "chain_read": verdict.chain_read,
        "checks": verdict.checks,
        "report": verdict.report,
        "restores": verdict.restores,
        "differences": verdict.differences,
    }


def parse_time(text: dt.datetime | None) -> int | None:
    """Return a time that was given in UTC as Unix seconds."""
    return None if text is None else int(text.replace(tzinfo=dt.UTC).timestamp())


def _details(entry: AuditEntry) -> str:
    return " ".join(
        f"{name}={short(value) if value.startswith('0x') else value}" for name, value in entry.details.items()
    )


def _time(seconds: int) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):  # a clock beyond year 9999
        return str(seconds)
