"""The lab's commands before any payment: find datasets, look into one, rehearse a study on synthetic twins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from heartify.chain.deployment import load_deployment
from heartify.cli import options
from heartify.cli.dataset_tables import statistics_table
from heartify.cli.lab_options import HOME, Home, PlanFile, Versions
from heartify.cli.output import after_document, messages, show, table
from heartify.cli.study_tables import weights_table
from heartify.cohort.catalogue.statistics import load_statistics
from heartify.errors import DisclosureError, EnclaveError
from heartify.lab.dry_run.dry_run import DryRun
from heartify.lab.lab import Lab
from heartify.market.catalogue import CatalogueEntry
from heartify.party.home import write_atomically
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.money import format_amount

Out = Annotated[Path | None, typer.Option(help="Folder to write the files into.")]


def catalogue(home: Home = HOME, as_json: options.Json = False) -> None:
    """List the dataset versions on the market, with columns and terms.

    Example: heartify lab catalogue --home ./lab
    """
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    entries = Lab(home, b"").catalogue()

    def human(console: Console) -> None:
        for entry in entries:
            prices = ", ".join(format_amount(g.live.order.price, deployment) for g in entry.grants) or "no open grant"
            console.print(f"{entry.hospital}: {entry.version} ({prices})", markup=False, style="bold")
            if entry.documents is None:
                console.print(f"  content can't be read: {entry.problem}", markup=False)
                continue
            dictionary = entry.documents.dictionary
            console.print(f"  {dictionary.title}, about {entry.documents.manifest.rows_rounded} rows", markup=False)
            rows = [[c.name, c.title, c.datatype, c.unit, c.role] for c in dictionary.published_columns]
            console.print(table(["  column", "title", "type", "unit", "role"], rows))

    show([_entry_document(entry) for entry in entries], as_json=as_json, human=human)


def dataset(
    version: Annotated[str, typer.Argument(help="The dataset version.")],
    out: Out = None,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Look into one dataset version: rounded statistics, catalogue record, dictionary, synthetic twin. Costs nothing.

    Example: heartify lab dataset 0x12... --out ./look --home ./lab
    """
    documents = Lab(home, b"").documents(version)
    for name, data in documents.items():
        if out is not None:
            write_atomically(out / name, data)
    stored = documents.get("statistics.json")
    statistics = None if stored is None else load_statistics(stored)

    def human(console: Console) -> None:
        if statistics is None:
            console.print("this version was published without statistics", markup=False)
        else:
            console.print(statistics_table(statistics))
        where = f"written to {out}" if out is not None else "`--out FOLDER` writes them"
        console.print(f"documents: {', '.join(documents) or 'none'} ({where})", markup=False)

    document = {"version": version, "documents": sorted(documents), "statistics": statistics}
    show(document, as_json=as_json, human=human)


def dry_run(
    plan_file: PlanFile,
    out: Out = None,
    home: Home = HOME,
    versions: Versions = None,
    as_json: options.Json = False,
) -> None:
    """Rehearse a study on synthetic twins: the enclave's whole program, the same result schema, no payment.

    Example: heartify lab dry-run plan.toml --home ./lab
    """
    lab = Lab(home, b"")
    with messages.status("rehearsing on synthetic twins") as spinner:
        done = lab.dry_run(lab.plan(plan_file), versions=versions, report=spinner.update)
    if out is not None:
        write_atomically(out / "synthetic-result.json", msgspec.json.format(msgspec.json.encode(done), indent=2))
    show(done, as_json=as_json, human=lambda c: _print_dry_run(c, done))
    with after_document():
        _check_delivered(done)


def _check_delivered(done: DryRun) -> None:
    """Raise when the rehearsal delivered nothing, so that a script sees it in the exit code.

    Raises:
        DisclosureError: the disclosure rules withheld the result.
        EnclaveError: the study failed.
    """
    if done.result is not None:
        return
    if done.verdict.startswith("withheld"):
        raise DisclosureError(f"the dry run's result was {done.verdict}", hint="ask for fewer or coarser factors")
    raise EnclaveError(f"the dry run {done.verdict}", hint="correct the plan: a deal would end in the same way")


def _print_dry_run(console: Console, done: DryRun) -> None:
    if done.result is not None:
        console.print(weights_table(done.result))
        console.print(f"{len(done.result.tables)} more tables; --out or --json shows them", markup=False)
        for item in done.result.skipped:
            console.print(f"skipped: {item.analysis}: {item.reason}", markup=False)
    console.print(f"verdict: {done.verdict} (hospitals: {', '.join(done.hospitals)})", markup=False)
    for other in done.left_out:
        console.print(f"passed over: {other.hospital}: {other.reason}", markup=False)
    for caveat in done.caveats:
        console.print(f"take care: {caveat}", markup=False)
    console.print("SYNTHETIC DATA: the numbers say nothing about patients", style="bold")


def _entry_document(entry: CatalogueEntry) -> dict[str, object]:
    documents = entry.documents
    return {
        "version": entry.version,
        "dataset": entry.dataset,
        "owner": entry.owner,
        "hospital": entry.hospital,
        "rows_rounded": documents.manifest.rows_rounded if documents else None,
        "dictionary": documents.dictionary if documents else None,
        "documents": [document.name for document in documents.manifest.documents] if documents else [],
        "grants": [{"order": g.live.order.to_json(), "policy": g.policy} for g in entry.grants],
        "problem": entry.problem,
    }
