"""`heartify lab`: the epidemiologist's commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from heartify.chain.deployment import load_deployment
from heartify.cli import lab_datasets, options
from heartify.cli.lab_options import HOME, Home, PlanFile, Versions
from heartify.cli.output import after_document, messages, say, short, show, table
from heartify.cli.study_tables import payments_table, verification_table, weights_table
from heartify.errors import DisclosureError, EnclaveError, IntegrityError, ServiceError, UsageError
from heartify.lab.lab import DealStatus, Lab
from heartify.lab.opening import Opened
from heartify.lab.outputs import store_outputs
from heartify.lab.quote import Quote
from heartify.lab.verification import Verification
from heartify.party.home import load_document
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.money import format_amount, parse_amount
from heartify.protocol.bundle import Receipt
from heartify.protocol.outcomes import DealState

app = typer.Typer(no_args_is_help=True, help="The lab: browse, plan, quote, run, open, verify.")

DealId = Annotated[str, typer.Argument(help="The deal's id.")]


@app.command()
def init(
    deployment: options.DeploymentFile,
    home: Home = HOME,
    unsafe_trust_simulated_root: options.SimulatedRoot = None,
    require_isolation: options.RequiredIsolation = None,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Create a lab's home with its account and result key.

    Example: heartify lab init --deployment deployment.json --home ./lab
    """
    lab = Lab.init(
        home,
        options.password(password_file, confirm=True),
        deployment=deployment,
        unsafe_simulated_root=unsafe_trust_simulated_root,
        required_isolation=options.required_isolation(require_isolation, unsafe_trust_simulated_root),
    )
    account = lab.settings.account
    show({"account": account}, as_json=as_json, human=lambda c: c.print(table(["lab", ""], [["account", account]])))


app.command()(lab_datasets.catalogue)
app.command()(lab_datasets.dataset)


@app.command()
def plan(plan_file: PlanFile, home: Home = HOME, as_json: options.Json = False) -> None:
    """Check a study plan, alone and against every dataset on the market. Costs nothing.

    Example: heartify lab plan plan.toml --home ./lab
    """
    lab = Lab(home, b"")
    checked = lab.plan(plan_file)
    quote = lab.quote(checked)
    rows = [[grant.entry.hospital, "fits", ""] for grant in quote.grants]
    rows += [[item.hospital, "does not fit", item.reason] for item in quote.unsuitable]
    document = {
        "plan": checked,
        "digest": checked.digest(),
        "fits": [grant.entry.version for grant in quote.grants],
        "unsuitable": quote.unsuitable,
    }
    title = f"{checked.title} (plan {short(checked.digest())})"
    show(document, as_json=as_json, human=lambda c: c.print(table(["hospital", "plan", "reason"], rows, title=title)))


@app.command()
def quote(plan_file: PlanFile, home: Home = HOME, versions: Versions = None, as_json: options.Json = False) -> None:
    """Show the itemised price of a study before any payment.

    Example: heartify lab quote plan.toml --home ./lab
    """
    lab = Lab(home, b"")
    found = lab.quote(lab.plan(plan_file), versions=versions)
    show(_quote_document(found), as_json=as_json, human=lambda c: _print_quote(c, found, home))


app.command("dry-run")(lab_datasets.dry_run)


@app.command()
def run(
    plan_file: PlanFile,
    home: Home = HOME,
    versions: Versions = None,
    min_hospitals: Annotated[
        int | None, typer.Option(help="Settle when at least this many take part; all of them by default.")
    ] = None,
    max_price: Annotated[str | None, typer.Option(help="Refuse when the study costs more.")] = None,
    deadline: Annotated[int, typer.Option(help="Seconds after which the money can be reclaimed.")] = 3600,
    wait: Annotated[bool, typer.Option(help="Wait until the deal has ended.")] = True,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Pay, make the deal, hand in the plan, and wait for its end.

    Example: heartify lab run plan.toml --home ./lab --max-price 1200
    """
    lab = Lab(home, options.password(password_file))
    found = lab.quote(lab.plan(plan_file), versions=versions)
    if not lab.has_rehearsed(found.plan):
        say("this plan was never rehearsed: `heartify lab dry-run` shows for free whether a result would be delivered")
    limit = None if max_price is None else parse_amount(max_price, load_deployment(home / DEPLOYMENT_FILE))
    record = lab.run(found, min_grants=min_hospitals, deadline_seconds=deadline, max_total=limit)
    say(f"deal {record.deal_id} made for {format_amount(found.total, load_deployment(home / DEPLOYMENT_FILE))}")
    try:
        lab.submit(record)
    except ServiceError as exc:
        say(f"the pool has not taken the plan yet ({exc.message}); it is handed in again while waiting")
    status = _wait(lab, record.deal_id, deadline) if wait else lab.status(record.deal_id)
    show(_status_document(status), as_json=as_json, human=lambda c: _print_status(c, [status]))


@app.command()
def status(
    deal_id: Annotated[str | None, typer.Argument(help="The deal's id; all deals of the lab without.")] = None,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Show where deals stand.

    Example: heartify lab status --home ./lab
    """
    lab = Lab(home, b"")
    found = [lab.status(item) for item in ([deal_id] if deal_id else lab.home.deal_ids())]
    document = [_status_document(item) for item in found]
    show(document, as_json=as_json, human=lambda c: _print_status(c, found))


@app.command("open")
def open_deal(
    deal_id: DealId,
    out: Annotated[Path, typer.Option(help="Folder for result.json, receipt.json, report.html, settlement.json.")],
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Verify everything again, decrypt the result, and write the report.

    Example: heartify lab open 0x12... --out ./results --home ./lab
    """
    opened = Lab(home, options.password(password_file)).open(deal_id)
    files = store_outputs(out, opened)
    document = {
        "outcome": opened.settlement.outcome,
        "result": opened.result,
        "settlement": opened.settlement,
        "verification": _verification_document(opened.verification),
        "files": [str(path) for path in files],
    }
    show(document, as_json=as_json, human=lambda c: _print_opened(c, opened, out))
    with after_document():
        check_delivered(opened)


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(help="A receipt.json.")],
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Recheck a run from public data: chain, signatures, evidence. Says yes or no with reasons.

    Example: heartify lab verify results/receipt.json --home ./lab
    """
    document = load_document(receipt, Receipt, hint="give the receipt.json of an opened deal")
    verification = Lab(home, b"").verify(document)
    show(
        _verification_document(verification),
        as_json=as_json,
        human=lambda c: c.print(verification_table(verification)),
    )
    with after_document():
        if not verification.verified:
            raise IntegrityError("the receipt is not verified", hint="the checks say which of them failed, and why")


@app.command()
def reclaim(
    deal_id: DealId, home: Home = HOME, password_file: options.PasswordFile = None, as_json: options.Json = False
) -> None:
    """Take back the money of a deal that nobody settled before its deadline, with the pool's stake.

    Example: heartify lab reclaim 0x12... --home ./lab
    """
    Lab(home, options.password(password_file)).reclaim(deal_id)
    show({"reclaimed": deal_id}, as_json=as_json, human=lambda c: c.print(f"reclaimed {deal_id}"))


def check_delivered(opened: Opened) -> None:
    """Raise when nothing was delivered, so that a script sees it in the exit code.

    Raises:
        DisclosureError: the outcome is withheld.
        EnclaveError: the outcome is failed.
        UsageError: the deal ended without an enclave's word.
    """
    if opened.result is not None:
        return
    if opened.settlement.state == DealState.WITHHELD.name.lower():
        raise DisclosureError(opened.settlement.outcome, hint="the report says which rule and what it means")
    if opened.settlement.state == DealState.FAILED.name.lower():
        raise EnclaveError(opened.settlement.outcome, hint="the report says why, and where the money went")
    raise UsageError(f"the deal was {opened.settlement.state}; nothing was delivered")


def _wait(lab: Lab, deal_id: str, seconds: int) -> DealStatus:
    with messages.status("waiting for the pool") as spinner:
        return lab.wait(
            deal_id,
            timeout_seconds=seconds,
            report=lambda s: spinner.update(f"{s.pool_state}: {s.step}" if s.step else s.pool_state),
        )


def _print_quote(console: Console, found: Quote, home: Path) -> None:
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    rows = [[f"data: {grant.entry.hospital}", format_amount(grant.price, deployment)] for grant in found.grants]
    rows += [
        ["app", format_amount(found.app.order.price, deployment)],
        ["pool", format_amount(found.pool.order.price, deployment)],
        ["total", format_amount(found.total, deployment)],
    ]
    console.print(table(["item", "price"], rows, title=f"{found.plan.title}, about {found.rows} rows"))
    console.print(f"expected time: about {found.expected_seconds} seconds; gas comes on top", markup=False)
    for item in found.unsuitable:
        console.print(f"passed over: {item.hospital}: {item.reason}", markup=False)


def _quote_document(found: Quote) -> dict[str, object]:
    return {
        "plan": found.plan,
        "plan_digest": found.plan.digest(),
        "grants": [
            {"hospital": g.entry.hospital, "version": g.entry.version, "price": str(g.price)} for g in found.grants
        ],
        "app": str(found.app.order.price),
        "pool": str(found.pool.order.price),
        "total": str(found.total),
        "expected_seconds": found.expected_seconds,
        "unsuitable": found.unsuitable,
    }


def _print_status(console: Console, found: list[DealStatus]) -> None:
    rows = [[s.deal_id, s.state.name.lower(), s.pool_state, s.step, s.problem] for s in found]
    console.print(table(["deal", "chain", "pool", "step", "problem"], rows))
    for status in found:
        if status.state is DealState.OPEN and status.deadline < time.time():
            say(f"nobody settled {status.deal_id} in time: `heartify lab reclaim` takes the money and the pool's stake")


def _status_document(status: DealStatus) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(status)
    return {**document, "state": status.state.name.lower()}


def _print_opened(console: Console, opened: Opened, out: Path) -> None:
    if opened.result is not None:
        console.print(weights_table(opened.result))
    console.print(payments_table(opened.settlement))
    console.print(verification_table(opened.verification))
    console.print(f"report: {out / 'report.html'}", markup=False)


def _verification_document(verification: Verification) -> dict[str, object]:
    return {
        "verified": verification.verified,
        "deal": verification.deal_id,
        "simulated": verification.simulated,
        "checks": verification.checks,
    }
