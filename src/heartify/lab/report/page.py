"""The report of one deal as one HTML file: plan, weights, hospitals, limits, verification, money, identifiers.

Self-contained: no script, no network, no external font or image, and a content security policy that says so. Every text
comes from documents of other parties, so all of it is escaped, and control and direction-changing characters are made
visible. It must never show more than the opened result does, nor call a simulated run anything else.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

import jinja2

from heartify.errors import IntegrityError, UsageError
from heartify.lab.report.ending import Ending, build_ending
from heartify.lab.report.study_section import StudySection, build_study_section
from heartify.lab.report.weights_table import column_title
from heartify.lab.report.wording import (
    ESTIMATIONS,
    HOSPITAL_EFFECTS,
    MODELS,
    PURPOSES,
    ROLES,
    STANDARD_ERRORS,
)
from heartify.lab.settlement import SettlementDocument
from heartify.lab.verification import Verification
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan
from heartify.protocol.result import StudyResult

# Control characters, and those that change the direction of text or can't be written: shown as a replacement character.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, slots=True)
class PlanFactor:
    """One factor of the plan, in words."""

    number: int
    name: str
    title: str
    source: str
    ucum: str


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """What the template shows; `study` is None unless a result was delivered."""

    plan: Plan
    outcome: str
    factors: tuple[PlanFactor, ...]
    purpose: str
    model: str
    hospital_effect: str
    choices: tuple[tuple[str, str], ...]
    simulated: bool
    generated_data: bool
    ending: Ending
    study: StudySection | None
    verification: Verification
    settlement: SettlementDocument
    plan_digest: str
    produced_utc: str
    version: str


def render_report(  # noqa: PLR0913 - one keyword for each document that the page is made of
    *,
    plan: Plan,
    result: StudyResult | None,
    outcome: str,
    verification: Verification,
    settlement: SettlementDocument,
    factor_titles: Mapping[str, str] | None = None,
    true_weights: Mapping[str, float] | None = None,
    produced_utc: str,
    version: str,
) -> str:
    """Return the report as HTML; equal arguments give equal text.

    `outcome` is the settlement's outcome, such as `delivered`, `withheld: disclosure code 4`, `failed: input-damaged`
    or `reclaimed`. `factor_titles` maps factor names to titles of the dictionary. `true_weights` maps factor names to
    the log odds per unit that generated data were made with. `produced_utc` is shown as it is: `2026-11-22 09:30 UTC`.

    Raises:
        IntegrityError: the documents are not of one deal and plan, or disagree about the outcome.
        UsageError: the deal has not ended, a delivered deal comes without its result or another one with it, or a
            true weight is given for no factor.
    """
    ending = build_ending(outcome, settlement)
    _check_one_deal(plan, result, verification, settlement)
    if (result is not None) != (ending.kind == "delivered"):
        raise UsageError(f"a report of a deal that was {ending.kind} needs a result if and only if one was delivered")
    titles, truths = factor_titles or {}, true_weights or {}
    study = None if result is None else build_study_section(result, plan, titles, truths)
    page = Page(
        plan=plan,
        outcome=_outcome_words(plan.outcome),
        factors=_plan_factors(plan, result, titles),
        purpose=PURPOSES[plan.purpose.value],
        model=MODELS[plan.analysis.model],
        hospital_effect=HOSPITAL_EFFECTS[plan.analysis.model],
        choices=_choices(plan, result, titles),
        simulated=verification.simulated or settlement.simulated or (result is not None and result.simulated),
        generated_data=bool(truths),
        ending=ending,
        study=study,
        verification=verification,
        settlement=settlement,
        plan_digest=plan.digest(),
        produced_utc=produced_utc,
        version=version,
    )
    return _environment().get_template("report.html.j2").render(page=page, roles=ROLES) + "\n"


def _check_one_deal(
    plan: Plan, result: StudyResult | None, verification: Verification, settlement: SettlementDocument
) -> None:
    deals = {verification.deal_id, settlement.deal} | ({result.deal} if result is not None else set())
    if len(deals) != 1:
        raise IntegrityError("the result, the verification and the settlement are not of one deal")
    if result is not None and result.plan_digest != plan.digest():
        raise IntegrityError("the result is not of this plan")


def _outcome_words(outcome: OutcomeSpec) -> str:
    return f"{outcome.column} > {outcome.above:g}" if outcome.equals is None else f"{outcome.column} = {outcome.equals}"


def _choices(plan: Plan, result: StudyResult | None, titles: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the plan's further choices in words, and what the data made of them where there is a result."""
    chosen: list[tuple[str, str]] = []
    if plan.follow_up is not None:
        time = plan.follow_up
        chosen.append(("follow-up", time.time + (f", from {time.entry}" if time.entry is not None else "")))
    if plan.follow_up is not None and plan.follow_up.competing is not None:
        chosen.append(("competing event", _outcome_words(plan.follow_up.competing)))
    if plan.follow_up is not None and plan.follow_up.horizon is not None:
        chosen.append(("horizon", f"{plan.follow_up.horizon:g}"))
    if plan.analysis.strata:
        chosen.append(("strata", ", ".join(titles.get(name, name) for name in plan.analysis.strata)))
    if plan.interactions:
        pairs = (f"{item.first}:{item.second}" for item in plan.interactions)
        chosen.append(("interactions", ", ".join(column_title(pair, titles) for pair in pairs)))
    chosen.append(("missing values", _missing_words(plan, result)))
    if result is not None:
        chosen.append(("estimation", ESTIMATIONS[result.estimation]))
        chosen.append(("standard errors", STANDARD_ERRORS[result.standard_errors]))
    return tuple(chosen)


def _missing_words(plan: Plan, result: StudyResult | None) -> str:
    if plan.missing.method == "complete-case":
        return "patients with a gap are left out"
    return f"multiple imputation, {plan.missing.imputations if result is None else result.imputations} datasets"


def _factor_source(factor: FactorSpec) -> str:
    if factor.equals is not None:
        return f"{factor.column} = {factor.equals}"
    if factor.reference is not None:
        return f"{factor.column}, levels against {factor.reference}"
    if factor.spline is not None:
        return f"{factor.column}, restricted cubic spline with {factor.spline} knots"
    return factor.column


def _plan_factors(plan: Plan, result: StudyResult | None, titles: Mapping[str, str]) -> tuple[PlanFactor, ...]:
    """Return the plan's factors; their units are known from the result only."""
    units = {} if result is None else {weight.term: weight.unit for weight in result.weights}
    return tuple(
        PlanFactor(
            number=number,
            name=factor.name,
            title=titles.get(factor.name, factor.name),
            source=_factor_source(factor),
            ucum="" if factor.equals is not None or factor.reference is not None else units.get(factor.name, ""),
        )
        for number, factor in enumerate(plan.factors, start=1)
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("heartify.lab.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_showable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _short_hex
    return environment


def _showable(value: Any) -> Any:
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", value) if type(value) is str else value


def _short_hex(digest: str) -> str:
    return digest if len(digest) <= 20 else f"{digest[:10]}…{digest[-6:]}"
