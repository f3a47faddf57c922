"""`heartify hospital audit`: the steward's look at the key broker's log, its export, verification and anchors."""

from __future__ import annotations

import datetime as dt
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from heartify.broker.audit.details import AuditEvent
from heartify.cli import options
from heartify.cli.audit_tables import KnownRestores, entry_table, parse_known, parse_time, show_verdict
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import show, table
from heartify.hospital.audit import AnchorState, EntryFilter, HospitalAudit

app = typer.Typer(no_args_is_help=True, help="The key broker's audit log: look at it, hand it out, anchor it.")

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
Since = Annotated[dt.datetime | None, typer.Option(formats=_FORMATS, help="From this time on, in UTC.")]


@app.command("show")
def show_entries(
    events: Annotated[
        list[AuditEvent] | None, typer.Option("--event", help="Only this event; may be repeated.")
    ] = None,
    deal: Annotated[str | None, typer.Option(help="Only this deal, by its id or the id's beginning.")] = None,
    requester: Annotated[str | None, typer.Option(help="Only this requester, likewise.")] = None,
    since: Since = None,
    until: Annotated[dt.datetime | None, typer.Option(formats=_FORMATS, help="Up to this time, in UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Only the newest so many.")] = 50,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Show what the broker decided and was told to do, newest last.

    Example: heartify hospital audit show --event keys-released --since 2026-11-01 --home ./cleveland
    """
    wanted = EntryFilter(
        events=frozenset(events or ()),
        deal=deal,
        requester=requester,
        since=parse_time(since),
        until=parse_time(until),
    )
    found = list(deque(HospitalAudit(home).entries(wanted), maxlen=limit))
    show(found, as_json=as_json, human=lambda c: c.print(entry_table(found) if found else "no such entry"))


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The file to write, JSON lines.")],
    since: Since = None,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Write the log for an auditor, signed by the broker's key. It holds ids, codes and times, and no patient's data.

    Example: heartify hospital audit export cleveland-audit.jsonl --home ./cleveland
    """
    header = HospitalAudit(home, options.password(password_file)).export(out, since=parse_time(since))
    rows = [
        ["entries", f"{header.first} to {header.last}"],
        ["digest of the last", header.head],
        ["signed by broker", header.broker],
    ]
    show(header, as_json=as_json, human=lambda c: c.print(table([str(out), ""], rows)))


@app.command()
def verify(
    offline: Annotated[bool, typer.Option("--offline", help="Leave the chain out.")] = False,
    known_restores: KnownRestores = None,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Verify the log as an outside auditor would, and compare it with the broker's use counter.

    Example: heartify hospital audit verify --home ./cleveland
    """
    verdict = HospitalAudit(home).verify(offline=offline, known_restores=parse_known(known_restores))
    show_verdict(verdict, as_json=as_json)


@app.command()
def anchor(home: Home = HOME, password_file: options.PasswordFile = None, as_json: options.Json = False) -> None:
    """Anchor the log's newest entry on chain; the hospital's account pays the fee.

    Example: heartify hospital audit anchor --home ./cleveland
    """
    state = HospitalAudit(home, options.password(password_file)).anchor()
    show(
        _anchor_document(state),
        as_json=as_json,
        human=lambda c: c.print(_anchor_text(state), markup=False, soft_wrap=True),
    )


def _anchor_document(state: AnchorState) -> dict[str, object]:
    return {
        "sequence": state.on_chain.sequence,
        "head": state.on_chain.head,
        "time": state.on_chain.time,
        "sent": None if state.submitted is None else state.submitted.tx_hash,
        "gas_used": None if state.submitted is None else state.submitted.gas_used,
    }


def _anchor_text(state: AnchorState) -> str:
    on_chain = state.on_chain
    time = dt.datetime.fromtimestamp(on_chain.time, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    where = f"entry {on_chain.sequence} is anchored, by the chain's clock on {time}"
    if state.submitted is None:
        return f"nothing new to anchor: {where}"
    return f"{where} (transaction {state.submitted.tx_hash}, gas {state.submitted.gas_used:,})"
