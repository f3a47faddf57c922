"""`heartify demo`: the main job on this machine, on generated or on one's own cohorts."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.lab import check_delivered
from heartify.cli.output import after_document, say, show
from heartify.cli.study_tables import payments_table, verification_table, weights_table
from heartify.demo.cohorts import DemoCohorts, generate_into, load_cohorts
from heartify.demo.story import DemoOutcome, run_demo


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder with <hospital>.csv, dictionary.toml, plan.toml; else generated.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for result.json, receipt.json, report.html, settlement.json.")
    ] = Path("heartify-demo"),
    work: Annotated[
        Path | None, typer.Option(help="New folder that keeps chain, homes, stores and logs; else they are removed.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run the whole job: chain, hospitals with brokers, pool, lab; publish, grant, pay, compute, settle, open.

    Example: heartify demo --out ./demo
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heartify-demo-") as scratch:
        cohorts = load_cohorts(data) if data is not None else generate_into(Path(scratch) / "cohorts")
        outcome = run_demo(cohorts, work or Path(scratch) / "work", out, lambda step: _report(started, step))
    show(_document(outcome), as_json=as_json, human=lambda console: _print(console, outcome, cohorts))
    with after_document():
        check_delivered(outcome.opened)


def _report(started: float, step: str) -> None:
    say(f"{time.monotonic() - started:5.1f} s  {step}")


def _document(outcome: DemoOutcome) -> dict[str, object]:
    opened = outcome.opened
    return {
        "outcome": opened.settlement.outcome,
        "simulated": opened.settlement.simulated,
        "result": opened.result,
        "payments": opened.settlement.payments,
        "verification": {"verified": opened.verification.verified, "checks": opened.verification.checks},
        "files": [str(path) for path in outcome.files],
    }


def _print(console: Console, outcome: DemoOutcome, cohorts: DemoCohorts) -> None:
    opened = outcome.opened
    if opened.result is not None:
        console.print(weights_table(opened.result, cohorts.true_weights))
        console.print()
    console.print(payments_table(opened.settlement))
    console.print()
    console.print(verification_table(opened.verification))
    for path in outcome.files:
        console.print(str(path), markup=False)
