"""`heartify hospital broker status|pause|resume|approve|…`: the steward's hand on a broker, running or not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import say, show, table
from heartify.hospital.broker_control import BrokerControl
from heartify.hospital.broker_status import BrokerStatus

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
    rows = [
        [f"{item.name} {item.version}", item.release_id(), kind, ", ".join(measurements)]
        for item in approved
        for kind, measurements in sorted(item.measurements.items())
    ]
    document = [{"release": item.release_id(), "document": item} for item in approved]
    columns = ["app release", "id", "TEE kind", "measurements"]
    show(document, as_json=as_json, human=lambda console: console.print(table(columns, rows)))


@app.command("withdraw-approval")
def withdraw_approval(
    release_id: Annotated[str, typer.Argument(help="The release's id, as `approvals` lists it.")], home: Home = HOME
) -> None:
    """End the approval of an app release: no enclave of it gets keys any more.

    Example: heartify hospital broker withdraw-approval 0x… --home ./cleveland
    """
    BrokerControl(home).store.approvals.withdraw(release_id)
    say(f"no longer approved: {release_id}")


def _print_status(console: Console, found: BrokerStatus) -> None:
    for problem in found.problems:
        console.print(f"! {problem}", markup=False)
    if not found.problems:
        console.print("nothing needs attention")
    activity, chain = found.activity, found.chain
    refused = ", ".join(f"{count} {name}" for name, count in activity.refusals_week.items()) or "none"
    anchored = "unknown" if chain is None else f"{chain.anchored_entry} anchored on chain, {_when(chain.anchored_at)}"
    rows = [
        ["hospital", found.hospital],
        ["broker", found.broker],
        ["service", f"{found.service} at {found.url}"],
        ["newest block", "unknown" if chain is None else _when(chain.block_time)],
        ["trust policy", found.policy + (" (believes simulated evidence)" if found.trusts_simulation else "")],
        ["approved", ", ".join(found.approved) or "nothing"],
        ["key-encryption key", found.kek],
        ["database", found.database],
        ["versions", f"{found.live_versions} live, {found.revoked_versions} revoked"],
        ["grants", f"{found.live_grants} live"],
        ["rules for requesters", str(found.requester_rules)],
        ["keys released", f"{activity.uses} in all, {activity.uses_week} this week, {activity.uses_day} today"],
        ["for deals", str(activity.deals)],
        ["last release", _when(activity.last_use_at)],
        ["refused this week", refused],
        ["audit log", f"{activity.audit_entries} entries, {anchored}"],
        ["last backup", _when(activity.last_backup_at)],
    ]
    console.print(table(["", ""], rows))


def _when(utc_seconds: int | None) -> str:
    if not utc_seconds:
        return "never"
    return dt.datetime.fromtimestamp(utc_seconds, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
