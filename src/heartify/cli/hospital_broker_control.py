"""`heartify hospital broker status|pause|resume|approve|…`: the steward's hand on a broker, running or not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.attest_tables import span, utc
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import say, show, table
from heartify.hospital.broker_control import BrokerControl
from heartify.hospital.broker_status import BrokerStatus
from heartify.protocol.app_release import AppRelease

app = typer.Typer()


@app.command()
def status(home: Home = HOME, as_json: options.Json = False) -> None:
    """Show how the key broker is: what needs attention first, then what it holds and what it did.

    Example: heartify hospital broker status --home ./cleveland
    """
    found = BrokerControl(home).status()
    document = {"problems": found.problems, "status": found}
    show(document, as_json=as_json, human=lambda console: _print_status(console, found))


@app.command()
def pause(
    reason: Annotated[str, typer.Argument(help="Why, for the hospital's own status page and audit log.")],
    home: Home = HOME,
) -> None:
    """Stop releasing keys at once, until `resume`; the broker goes on answering.

    Example: heartify hospital broker pause "unknown requests since 9:40" --home ./cleveland
    """
    BrokerControl(home).store.pause.begin(reason)
    say("the broker is paused: it releases no keys until `heartify hospital broker resume`")


@app.command()
def resume(home: Home = HOME) -> None:
    """Release keys again after a pause.

    Example: heartify hospital broker resume --home ./cleveland
    """
    BrokerControl(home).store.pause.end()
    say("the broker releases keys again")


@app.command()
def approve(
    home: Home = HOME,
    release: Annotated[
        Path | None, typer.Option("--app-release", help="An app release document; else the one of the deployment.")
    ] = None,
    confirm: Annotated[
        list[str] | None,
        typer.Option(
            "--confirm-measurement",
            help="A measurement that this machine can't compute and an auditor gave you; repeat it for each.",
        ),
    ] = None,
    keep_former: Annotated[
        bool, typer.Option("--keep-former", help="Leave other releases of this app approved, for deals under way.")
    ] = False,
) -> None:
    """Approve an app release; it replaces what was approved of this app before.

    Example: heartify hospital broker approve --home ./cleveland
    """
    from heartify.tee.app_release import measure_installed_enclave

    control = BrokerControl(home)
    approved, former = control.approve(
        release,
        measure=measure_installed_enclave,
        confirmed=frozenset(confirm or ()),
        keep_former=keep_former,
    )
    say(f"{approved.name} {approved.version} is approved: {approved.release_id()}")
    for replaced in former:
        say(f"no longer approved: {replaced}")


@app.command()
def approvals(home: Home = HOME, as_json: options.Json = False) -> None:
    """List the approved app releases with what they measure.

    Example: heartify hospital broker approvals --home ./cleveland
    """
    approved = BrokerControl(home).store.approvals.all()
    document = [{"release": item.release_id(), "document": item} for item in approved]
    show(document, as_json=as_json, human=lambda console: _print_approvals(console, approved))


@app.command("withdraw-approval")
def withdraw_approval(
    release_id: Annotated[str, typer.Argument(help="The release's id, as `approvals` lists it.")], home: Home = HOME
) -> None:
    """End the approval of an app release: no enclave of it gets keys any more.

    Example: heartify hospital broker withdraw-approval 0x… --home ./cleveland
    """
    BrokerControl(home).store.approvals.withdraw(release_id)
    say(f"no longer approved: {release_id}")


def _print_approvals(console: Console, approved: Sequence[AppRelease]) -> None:
    """Print a release's name and id on a line of its own, so that both ids and measurements can be copied whole."""
    if not approved:
        console.print("no app release is approved: no enclave gets keys")
    for item in approved:
        console.print(f"{item.name} {item.version}, {item.release_id()}", markup=False, soft_wrap=True)
        for kind, measurements in sorted(item.measurements.items()):
            for measurement in measurements:
                console.print(f"  {kind:14} {measurement}", markup=False, soft_wrap=True)


def _print_status(console: Console, found: BrokerStatus) -> None:
    for problem in found.problems:
        console.print(f"! {problem}", markup=False)
    if not found.problems:
        console.print("nothing needs attention")
    activity, chain = found.activity, found.chain
    refused = ", ".join(f"{count} {name}" for name, count in activity.refusals_week.items()) or "none"
    anchored = "unknown" if chain is None else f"entry {chain.anchored_entry} on {_when(chain.anchored_at)}"
    if chain is not None and chain.anchored_entry == 0:
        anchored = "never"
    rows = [
        ["hospital", found.hospital],
        ["broker", found.broker],
        ["service", f"{found.service} at {found.url}"],
        ["newest block", "unknown" if chain is None else _when(chain.block_time)],
        ["trust policy", found.policy + (" (believes simulated evidence)" if found.trusts_simulation else "")],
        ["approved", ", ".join(found.approved) or "nothing"],
        ["collateral", *_collateral(found)[:1]],
        *(["", line] for line in _collateral(found)[1:]),
        ["key-encryption key", found.kek + (", a rotation was not finished" if found.rotation_under_way else "")],
        ["database", f"{found.database}, schema {found.schema}"],
        ["versions", f"{found.live_versions} live, {found.revoked_versions} revoked"],
        ["grants", f"{found.live_grants} live"],
        ["rules for requesters", str(found.requester_rules)],
        ["keys released", f"{activity.uses} in all, {activity.uses_week} this week, {activity.uses_day} today"],
        ["for deals", str(activity.deals)],
        ["last release", _when(activity.last_use_at)],
        ["refused this week", refused],
        ["audit log", f"up to entry {activity.audit_entries}"],
        ["signed up to", f"entry {found.signed_entry}" if found.signed_entry else "never"],
        ["anchored on chain", anchored],
        ["last backup", _when(activity.last_backup_at)],
    ]
    console.print(table(["", ""], rows))


def _collateral(found: BrokerStatus) -> list[str]:
    """Return one line for the source, and one for each that is kept."""
    if found.collateral is None:
        return ["what the evidence's host sends"]
    lines = [found.collateral.source]
    for kept in found.collateral.kept:
        age = "" if kept.fetched_at is None else f"{span(max(0, found.now - kept.fetched_at))} old, "
        lines.append(f"{kept.name}: {age}ends {utc(kept.next_update)}")
    return lines


def _when(utc_seconds: int | None) -> str:
    if not utc_seconds:
        return "never"
    return dt.datetime.fromtimestamp(utc_seconds, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
