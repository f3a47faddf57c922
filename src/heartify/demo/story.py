"""The demo's story: one study from CSV files to opened result, with every step reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from heartify.demo.cohorts import DemoCohorts
from heartify.demo.world import DemoWorld
from heartify.errors import InputError
from heartify.lab.lab import DealStatus
from heartify.lab.opening import Opened
from heartify.lab.outputs import store_outputs
from heartify.party.money import format_amount
from heartify.protocol.plan import Plan

DEAL_SECONDS = 600
Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class DemoOutcome:
    """How a demo ended, and the files that it wrote."""

    opened: Opened
    files: tuple[Path, ...]


def run_demo(cohorts: DemoCohorts, work: Path, out: Path, report: Report) -> DemoOutcome:
    """Run the main job in a work folder and write the outputs.

    Raises:
        HeartifyError: a step failed; every process that was started has ended.
    """
    with DemoWorld(work, cohorts, report) as world:
        return tell_story(world, out, report)


def tell_story(world: DemoWorld, out: Path, report: Report) -> DemoOutcome:
    """Plan, rehearse, quote, run, wait, verify and open one study in a running world."""
    plan = world.cohorts.plan
    report(_rehearse(world, plan))
    quote = world.lab.quote(plan)
    report(f"quote: {format_amount(quote.total, world.deployment)} for {len(quote.grants)} hospitals, app and pool")
    record = world.lab.run(quote, min_grants=1, deadline_seconds=DEAL_SECONDS)
    world.lab.submit(record)
    report(f"deal {record.deal_id[:12]}… matched ({record.match_gas} gas), plan handed to the pool")
    world.lab.wait(record.deal_id, timeout_seconds=DEAL_SECONDS, report=_StepReporter(report))
    opened = world.lab.open(record.deal_id)
    report(f"settled: {opened.settlement.outcome} ({opened.settlement.settle_gas} gas); verified and opened")
    files = store_outputs(out, opened, true_weights=world.cohorts.true_weights)
    return DemoOutcome(opened, files)


def _rehearse(world: DemoWorld, plan: Plan) -> str:
    """Return how a dry run went; somebody's own cohort may be too small for a twin, and can be used all the same."""
    try:
        done = world.lab.dry_run(plan)
    except InputError as exc:
        return f"no rehearsal: {exc.message}"
    return f"the lab rehearses on synthetic twins of {len(done.hospitals)} hospitals, free: {done.verdict}"


class _StepReporter:
    """Reports each step of the enclave once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = ""

    def __call__(self, status: DealStatus) -> None:
        if status.step and status.step != self._last:
            self._last = status.step
            self._report(f"enclave: {status.step}")
