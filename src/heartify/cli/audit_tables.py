"""How audit logs and verdicts look to people."""

from __future__ import annotations

import datetime as dt

from rich.table import Table

from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.verdict import AuditVerdict
from heartify.cli.output import short, table


def entry_table(entries: list[AuditEntry]) -> Table:
    """Return entries as a table; ids are shortened, `--json` has them whole."""
    rows = [[str(entry.sequence), _time(entry.time), entry.event.value, _details(entry)] for entry in entries]
    return table(["no.", "time (broker's clock)", "event", "details"], rows)


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
