"""The study plan: a lab's question as a declarative document. No user code runs in the enclave.

A plan is plain and pre-registered: its digest is in the request, so nobody can change the question after payment.
People write TOML; the digest is that of the canonical JSON. What each requested analysis takes is in `plan_analyses`,
what contradicts itself in `plan_sense`.
"""

from __future__ import annotations

import tomllib
from enum import Enum
from typing import Annotated, Literal

import msgspec

from heartify.errors import InputError
from heartify.protocol.canonical import encode_canonical, parse_canonical, sha256_digest
from heartify.protocol.plan_analyses import (
    CompetingRisksSpec,
    DescribeSpec,
    HeterogeneitySpec,
    IncrementSpec,
    MissingSpec,
    PerformanceSpec,
    ScreenSpec,
    SelectionSpec,
    WeightsSpec,
)
from heartify.protocol.plan_model import (
    AnalysisSpec,
    ColumnName,
    FactorSpec,
    FollowUpSpec,
    InteractionSpec,
    Name,
    OutcomeSpec,
)
from heartify.protocol.plan_sense import check_sense

__all__ = [
    "MAX_FACTORS",
    "AnalysisSpec",
    "ColumnName",
    "FactorSpec",
    "FollowUpSpec",
    "InteractionSpec",
    "Name",
    "OutcomeSpec",
    "Plan",
    "Purpose",
    "parse_plan",
    "parse_plan_toml",
]  # fmt: skip

MAX_FACTORS = 64


class Purpose(Enum):
    """The purposes of Regulation (EU) 2025/327 (EHDS), article 53(1), as a closed list."""

    PUBLIC_HEALTH = "public-health"
    POLICY = "policy"
    STATISTICS = "statistics"
    EDUCATION = "education"
    HEALTH_RESEARCH = "health-research"
    CARE_IMPROVEMENT = "care-improvement"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A study plan; parse it with parse_plan or parse_plan_toml, which also check it.

    Everything from `describe` on is an analysis beyond the model's weights: null means that it wasn't asked for.
    """

    format: Literal["heartify.plan/2"] = "heartify.plan/2"
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    purpose: Purpose
    permit: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    outcome: OutcomeSpec
    follow_up: FollowUpSpec | None = None
    factors: Annotated[tuple[FactorSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_FACTORS)]
    interactions: Annotated[tuple[InteractionSpec, ...], msgspec.Meta(max_length=16)] = ()
    analysis: AnalysisSpec = AnalysisSpec()
    missing: MissingSpec = MissingSpec()
    describe: DescribeSpec | None = None
    weights: WeightsSpec | None = None
    heterogeneity: HeterogeneitySpec | None = None
    performance: PerformanceSpec | None = None
    increment: IncrementSpec | None = None
    selection: SelectionSpec | None = None
    competing_risks: CompetingRisksSpec | None = None
    screen: ScreenSpec | None = None

    def model_columns(self) -> tuple[str, ...]:
        """Return every column that the model reads, once, the outcome first: a complete case has no gap in these."""
        follow_up = self.follow_up.columns() if self.follow_up else ()
        factors = tuple(factor.column for factor in self.factors)
        return tuple(dict.fromkeys((self.outcome.column, *follow_up, *self.analysis.strata, *factors)))

    def columns(self) -> tuple[str, ...]:
        """Return every column that the plan reads, once, in order of appearance: the outcome first."""
        score = self.increment.score.columns() if self.increment and self.increment.score else ()
        screened = self.screen.columns() if self.screen else ()
        return tuple(dict.fromkeys((*self.model_columns(), *score, *screened)))

    def digest(self) -> str:
        """Return the plan's digest, as it stands in the request."""
        return sha256_digest(encode_canonical(self))


def parse_plan(data: bytes) -> Plan:
    """Parse a canonical plan.

    Raises:
        DocumentError: malformed or not canonical.
        InputError: well-formed but meaningless.
    """
    return _checked(parse_canonical(data, Plan))


def parse_plan_toml(text: str, *, source: str = "plan.toml") -> Plan:
    """Parse a plan as people write it.

    Raises:
        InputError: not TOML, unknown or missing fields, or meaningless; the message names the place.
    """
    try:
        return _checked(msgspec.convert(tomllib.loads(text), Plan, strict=True))
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise InputError(f"{source} is not TOML: {exc}") from exc
    except msgspec.ValidationError as exc:
        raise InputError(f"{source}: {exc}", hint="see docs/reference/plan.md for the fields of a study plan") from exc


def _checked(plan: Plan) -> Plan:
    check_sense(plan)
    return plan
