"""`heartify hospital`: the data steward's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.chain.deployment import load_deployment
from heartify.cli import (
    hospital_audit,
    hospital_broker,
    hospital_datasets,
    hospital_store,
    hospital_withdrawal,
    options,
)
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import short, show, table
from heartify.hospital.hospital import GrantTerms, Hospital
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.money import format_amount, parse_amount
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.plan import Purpose
from heartify.tee.app_release import measure_installed_enclave

app = typer.Typer(no_args_is_help=True, help="The hospital: publish cohorts, grant their use, run the key broker.")


@app.command()
def init(
    name: Annotated[str, typer.Option(help="Name under which results list the hospital.")],
    deployment: options.DeploymentFile,
    store: Annotated[str, typer.Option(help="Where encrypted versions go: a folder or any fsspec URL.")],
    broker_url: Annotated[str, typer.Option(help="Address at which pools reach the key broker.")],
    public_store: Annotated[
        str | None, typer.Option(help="Where others read the versions, if at another address of the same files.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL database for the broker's state; else a file in the home.")
    ] = None,
    home: Home = HOME,
    unsafe_trust_simulated_root: options.SimulatedRoot = None,
    require_isolation: options.RequiredIsolation = None,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Create a hospital's home with its keys.

    Example: heartify hospital init --name cleveland --deployment deployment.json --store ./store
    --broker-url http://127.0.0.1:8701 --home ./cleveland
    """
    hospital = Hospital.init(
        home,
        options.password(password_file, confirm=True),
        name=name,
        deployment=deployment,
        store_url=_absolute_store(store),
        broker_url=broker_url,
        public_store_url=public_store,
        database_url=database_url,
        unsafe_simulated_root=unsafe_trust_simulated_root,
        required_isolation=options.required_isolation(require_isolation, unsafe_trust_simulated_root),
    )
    settings = hospital.settings
    rows = [["account", settings.account], ["broker", settings.broker], ["store", settings.store_url]]
    show(settings, as_json=as_json, human=lambda c: c.print(table([f"hospital {settings.name}", ""], rows)))


app.command()(hospital_datasets.describe)
app.command()(hospital_datasets.check)
app.command()(hospital_datasets.publish)


@app.command()
def grant(
    version: Annotated[str, typer.Argument(help="The dataset version.")],
    price: Annotated[str, typer.Option(help="Price of one use, in the market's token.")],
    columns: Annotated[list[str] | None, typer.Option("--column", help="Granted column; all if none is named.")] = None,
    purposes: Annotated[list[Purpose] | None, typer.Option("--purpose", help="Granted purpose.")] = None,
    uses: Annotated[int, typer.Option(help="How many deals may use it.")] = 1,
    days: Annotated[int, typer.Option(help="How long it is good for.")] = 30,
    tee_kinds: Annotated[list[str] | None, typer.Option("--tee", help="Accepted TEE kind.")] = None,
    requester: Annotated[str, typer.Option(help="Only this account or group contract may use it.")] = ZERO_ADDRESS,
    pool: Annotated[str, typer.Option(help="Only on this pool.")] = ZERO_ADDRESS,
    permit: Annotated[str | None, typer.Option(help="Permit id that a plan must name.")] = None,
    withheld_bps: Annotated[int, typer.Option(help="Share of the price for a withheld result, in 1/10000.")] = 0,
    approve_measurement: Annotated[
        str | None, typer.Option(help="Approve the app release by this measurement instead of measuring here.")
    ] = None,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Approve the app release, and grant the use of a dataset version for a price.

    Example: heartify hospital grant 0x12... --price 250 --tee simulated-sgx --home ./cleveland
    """
    hospital = Hospital(home, options.password(password_file))
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    terms = GrantTerms(
        price=parse_amount(price, deployment),
        columns=tuple(columns or ()),
        purposes=tuple(purposes or (Purpose.HEALTH_RESEARCH,)),
        permit=permit,
        uses=uses,
        days=days,
        withheld_bps=withheld_bps,
        requester=requester.lower(),
        pool=pool.lower(),
        tee_kinds=tuple(tee_kinds or ("sgx",)),
    )
    release = hospital.approve(measure_installed_enclave, approve_measurement)
    held = hospital.grant(version, terms)
    rows = [
        ["grant", held.order_digest],
        ["app release", f"{release.name} {release.version} {release.release_id()}"],
        ["columns", ", ".join(held.policy.columns)],
        ["price", f"{format_amount(terms.price, deployment)} a use, {uses} use(s), {days} days"],
    ]
    document = {"grant": held.order_digest, "order": held.signed.order.to_json(), "policy": held.policy}
    show(document, as_json=as_json, human=lambda c: c.print(table(["granted", ""], rows)))


@app.command()
def revoke(
    grant_digest: Annotated[str, typer.Option("--grant", help="The grant to revoke.")],
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Revoke one grant: the broker releases no key under it any more.

    Example: heartify hospital revoke --grant 0x12... --home ./cleveland
    """
    Hospital(home, options.password(password_file)).revoke_grant(grant_digest)
    show({"revoked": grant_digest}, as_json=as_json, human=lambda c: c.print(f"revoked {grant_digest}"))


app.command()(hospital_withdrawal.withdraw)
app.command("opt-out")(hospital_withdrawal.opt_out)
app.command("check-store")(hospital_store.check_store)
app.command("clean-store")(hospital_store.clean_store)


@app.command()
def status(home: Home = HOME, as_json: options.Json = False) -> None:
    """Show versions, grants, key releases and earnings.

    Example: heartify hospital status --home ./cleveland
    """
    found = Hospital(home, b"").status()
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    versions = [[version, "revoked" if revoked else "live"] for version, _, revoked in found.versions]
    grants = [
        [
            g.order_digest,
            format_amount(g.signed.order.price, deployment),
            str(g.signed.order.uses),
            "revoked" if g.revoked else "live",
        ]
        for g in found.grants
    ]
    releases = [
        [
            short(r.deal),
            short(r.version),
            str(r.attempt),
            "simulated" if r.simulated else "hardware",
            str(r.released_at),
        ]
        for r in found.releases
    ]
    document = {
        "name": found.settings.name,
        "account": found.settings.account,
        "versions": [{"version": v, "dataset": d, "revoked": r} for v, d, r in found.versions],
        "grants": [
            {"grant": g.order_digest, "order": g.signed.order.to_json(), "revoked": g.revoked} for g in found.grants
        ],
        "releases": found.releases,
        "approved_releases": [release.release_id() for release in found.approved],
        "earned": str(found.earned),
    }

    def human(console: Console) -> None:
        console.print(table(["dataset version", "state"], versions, title=f"hospital {found.settings.name}"))
        console.print(table(["grant", "price", "uses", "state"], grants))
        console.print(table(["deal", "version", "attempt", "evidence", "released at"], releases))
        console.print(f"earned, free in escrow: {format_amount(found.earned, deployment)}", markup=False)

    show(document, as_json=as_json, human=human)


app.add_typer(hospital_broker.app, name="broker")
app.add_typer(hospital_audit.app, name="audit")


def _absolute_store(store: str) -> str:
    """Return a local folder as an absolute path, since others read it from elsewhere."""
    return store if "://" in store else str(Path(store).expanduser().resolve())
