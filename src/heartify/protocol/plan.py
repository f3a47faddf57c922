"""The study plan: a lab's question as a declarative document. No user code runs in the enclave.

A plan is plain and pre-registered: its digest is in the request, so nobody can change the question after payment.
People write TOML; the digest is that of the canonical JSON.
"""

from __future__ import annotations

import enum
import tomllib
from typing import Annotated, Literal

import msgspec

from heartify.errors import InputError
from heartify.protocol.canonical import encode_canonical, parse_canonical, sha256_digest

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}\Z")]
ColumnName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]
MAX_FACTORS = 64


class Purpose(enum.Enum):
    """The purposes of Regulation (EU) 2025/327 (EHDS), article 53(1), as a closed list."""

    PUBLIC_HEALTH = "public-health"
    POLICY = "policy"
    STATISTICS = "statistics"
    EDUCATION = "education"
    HEALTH_RESEARCH = "health-research"
    CARE_IMPROVEMENT = "care-improvement"


class OutcomeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The event: a row where `column` equals a level (or code), or is above a number. Exactly one of the two."""

    column: ColumnName
    equals: str | None = None
    above: float | None = None


class FactorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One factor: the column as it is, or the indicator of one of its levels when `equals` is given."""

    name: Name
    column: ColumnName
    equals: str | None = None


class AnalysisSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is computed: maximum-likelihood logistic regression, pooled, with an intercept for each hospital."""

    model: Literal["logistic"] = "logistic"
    hospital_effect: Literal["fixed-intercepts"] = "fixed-intercepts"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A study plan; parse it with parse_plan or parse_plan_toml, which also check it."""

    format: Literal["heartify.plan/1"] = "heartify.plan/1"
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    purpose: Purpose
    permit: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    outcome: OutcomeSpec
    factors: Annotated[tuple[FactorSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_FACTORS)]
    analysis: AnalysisSpec = AnalysisSpec()

    def columns(self) -> tuple[str, ...]:
        """Return every column that the plan reads, once, in order of appearance: the outcome first."""
        return tuple(dict.fromkeys((self.outcome.column, *(factor.column for factor in self.factors))))

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
    if (plan.outcome.equals is None) == (plan.outcome.above is None):
        raise InputError("the plan's outcome needs exactly one of `equals` and `above`")
    # A whole number from 2**53 on is not the same number to every JSON reader; NaN is below nothing.
    if plan.outcome.above is not None and not abs(plan.outcome.above) < 2**53:
        raise InputError("the plan's outcome must be above a number of less than 2**53 in absolute value")
    names = [factor.name for factor in plan.factors]
    if len(set(names)) != len(names):
        raise InputError("two factors of the plan have the same name", hint="give each factor its own `name`")
    if plan.outcome.column in {factor.column for factor in plan.factors}:
        raise InputError(f"the plan's outcome column {plan.outcome.column!r} is also a factor")
    return plan
