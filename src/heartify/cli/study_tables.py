"""Tables of a study for the terminal: weights, payments, verification."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from heartify.cli.output import table
from heartify.lab.settlement import SettlementDocument
from heartify.lab.verification import Verification
from heartify.protocol.result import StudyResult, Weight


def weights_table(result: StudyResult, true_weights: Mapping[str, float] | None = None) -> Table:
    """Return the weights, strongest per standard deviation first."""
    ratio = "hazard ratio" if result.model == "cox" else "odds ratio"
    columns = ["factor", "unit", f"{ratio} (95 % CI)", "p", "weight", "SE", "per SD"]
    ordered = sorted(result.weights, key=lambda weight: -abs(weight.beta_per_sd))
    rows = [_weight_row(weight) for weight in ordered]
    if true_weights is not None:
        columns.append("true weight")
        for row, weight in zip(rows, ordered, strict=True):
            row.append(f"{true_weights[weight.factor]:g}" if weight.factor in true_weights else "")
    word = "SIMULATED TEE: " if result.simulated else ""
    events = f"{result.events} events in {result.events_n}" if result.events is not None else "events suppressed"
    discrimination = f"AUC {_g(result.auc)}" if result.model == "logistic" else f"C {_g(result.concordance)}"
    title = f"{word}{result.outcome}, n = {result.n} ({events}), {discrimination}"
    return table(columns, rows, title=title)


def payments_table(settlement: SettlementDocument) -> Table:
    """Return who was paid what."""
    rows = [[row.party, row.role, row.shown] for row in settlement.payments]
    gas = f"gas: match {settlement.match_gas or '-'}, settle {settlement.settle_gas or '-'}"
    title = f"settlement: {settlement.outcome}, {settlement.locked_shown} locked; {gas}"
    return table(["paid to", "for", "amount"], rows, title=title)


def verification_table(verification: Verification) -> Table:
    """Return the verdict with its checks."""
    rows = [[check.name, "yes" if check.passed else "NO", check.reason] for check in verification.checks]
    verdict = "verified" if verification.verified else "NOT VERIFIED"
    word = " (simulated TEE: proves nothing about confidentiality)" if verification.simulated else ""
    return table(["check", "holds", "reason"], rows, title=f"verification: {verdict}{word}")


def _weight_row(weight: Weight) -> list[str]:
    ratio = "-" if weight.ratio is None else f"{weight.ratio:g} ({_g(weight.ratio_ci_low)}–{_g(weight.ratio_ci_high)})"
    return [
        weight.factor,
        weight.unit,
        ratio,
        weight.p,
        f"{weight.beta:g}",
        f"{weight.se:g}",
        f"{weight.beta_per_sd:g}",
    ]


def _g(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
