"""`heartify hospital broker rules|allow|deny|forget`: whom the hospital gives keys to, over the terms of its grants."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from heartify.broker.requester_rules import EVERYBODY_ELSE, Decision, RequesterRule
from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import say, show, table
from heartify.errors import UsageError
from heartify.hospital.broker_control import BrokerControl

app = typer.Typer()

_ACCOUNT = re.compile(r"0x[0-9a-f]{40}")

_NO_RULES = "no rules: whoever a grant is for gets keys"

Requester = Annotated[str, typer.Argument(help="A lab's account, or `everybody-else`.")]
Note = Annotated[str, typer.Option(help="A word for yourself.")]


@app.command()
def rules(home: Home = HOME, as_json: options.Json = False) -> None:
    """List the rules for requesters.

    Example: heartify hospital broker rules --home ./cleveland
    """
    found = BrokerControl(home).store.requesters.all().values()
    rows = [[_shown(rule.requester), rule.decision.value, _limit(rule), rule.note] for rule in found]
    document = [
        {
            "requester": rule.requester,
            "decision": rule.decision,
            "max_deals": rule.max_deals,
            "per_days": rule.per_days,
            "note": rule.note,
        }
        for rule in found
    ]
    columns = ["requester", "keys", "limit", "note"]
    show(document, as_json=as_json, human=lambda console: console.print(table(columns, rows) if rows else _NO_RULES))


@app.command()
def allow(
    requester: Requester,
    home: Home = HOME,
    max_deals: Annotated[int | None, typer.Option(help="For how many deals at most…")] = None,
    per_days: Annotated[int | None, typer.Option(help="…in how many days.")] = None,
    note: Note = "",
) -> None:
    """Give a requester keys, for so many deals in so many days.

    Example: heartify hospital broker allow 0x… --max-deals 10 --per-days 30 --home ./cleveland
    """
    _set(home, requester, Decision.ALLOW, note, max_deals, per_days)


@app.command()
def deny(requester: Requester, home: Home = HOME, note: Note = "") -> None:
    """Give a requester no keys, whatever grants say.

    Example: heartify hospital broker deny everybody-else --home ./cleveland
    """
    _set(home, requester, Decision.DENY, note, None, None)


@app.command()
def forget(requester: Requester, home: Home = HOME) -> None:
    """Remove a requester's rule.

    Example: heartify hospital broker forget everybody-else --home ./cleveland
    """
    BrokerControl(home).store.requesters.remove(_parse(requester))
    say(f"there is no rule for {requester} any more")


def _set(
    home: Home, requester: str, decision: Decision, note: str, max_deals: int | None, per_days: int | None
) -> None:
    rule = RequesterRule(
        requester=_parse(requester), decision=decision, max_deals=max_deals, per_days=per_days, note=note
    )
    BrokerControl(home).store.requesters.set(rule)
    say(f"{requester}: {decision.value}{', ' + _limit(rule) if rule.max_deals else ''}")


def _parse(requester: str) -> str:
    if requester == _shown(EVERYBODY_ELSE):
        return EVERYBODY_ELSE
    if not _ACCOUNT.fullmatch(requester.lower()):
        raise UsageError(f"{requester[:60]!r} is no account", hint="0x and 40 hex digits, or everybody-else")
    return requester.lower()


def _shown(requester: str) -> str:
    return "everybody-else" if requester == EVERYBODY_ELSE else requester


def _limit(rule: RequesterRule) -> str:
    return f"{rule.max_deals} deals in {rule.per_days} days" if rule.max_deals else "no limit"
