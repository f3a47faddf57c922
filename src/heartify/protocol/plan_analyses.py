"""The analyses that a study plan can ask for beyond the model's weights, each a table of its own in the TOML.

An empty table asks for an analysis with its defaults. Everything here is declarative: names, columns and numbers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.protocol.plan_model import ColumnName, Name

MAX_CANDIDATES = 4096
Probability = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Thresholds = Annotated[tuple[Probability, ...], msgspec.Meta(min_length=1, max_length=20)]

ScoreName = Literal[
    "framingham-2008-lipid", "framingham-2008-bmi", "score2", "score2-op",
    "prevent-total-cvd-10y", "prevent-ascvd-10y", "prevent-heart-failure-10y", "prevent-chd-10y", "prevent-stroke-10y",
    "prevent-total-cvd-30y", "prevent-ascvd-30y", "prevent-heart-failure-30y", "prevent-chd-30y", "prevent-stroke-30y",
]  # fmt: skip


class MissingSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What becomes of patients with a missing value: left out, or imputed many times and pooled by Rubin's rules."""

    method: Literal["complete-case", "multiple-imputation"] = "complete-case"
    imputations: Annotated[int, msgspec.Meta(ge=2, le=200)] = 20
    iterations: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10


class DescribeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cohort: flow of exclusions, Table 1, missingness, plausibility, sample-size adequacy."""


class WeightsSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The weights on further scales: partial chi-square, dominance, attributable fraction, with bootstrap intervals."""

    bootstrap: Annotated[int, msgspec.Meta(ge=0, le=2000)] = 200
    dominance: bool = True
    attributable: bool = True


class HeterogeneitySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each hospital's own estimates, their fixed and random effects, and leave-one-hospital-out validation."""

    leave_one_out: bool = True


class PerformanceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Discrimination, calibration, net benefit at thresholds of risk, and the optimism of all of them."""

    optimism: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 200
    thresholds: Thresholds = (0.05, 0.1, 0.2, 0.3, 0.5)


class ScoreFlagSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A score's input that is yes or no: yes where `column` equals a level (or code)."""

    column: ColumnName
    equals: str


class ScoreSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A published score as the base model; `inputs` says which column is which of the score's inputs.

    Inputs are named without unit (`sbp`, `total_cholesterol`): the unit is the dictionary's (see `plan_scores`).
    """

    name: ScoreName
    inputs: Annotated[dict[Name, ColumnName | ScoreFlagSpec], msgspec.Meta(min_length=1, max_length=32)]
    region: Literal["low", "moderate", "high", "very_high"] | None = None

    def column_of(self, name: str) -> str:
        """Return the column of an input."""
        given = self.inputs[name]
        return given if isinstance(given, str) else given.column

    def columns(self) -> tuple[str, ...]:
        """Return the columns that it reads."""
        return tuple(self.column_of(name) for name in sorted(self.inputs))


class IncrementSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the new `factors` add to the plan's other factors, or to a published `score`."""

    factors: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=16)]
    score: ScoreSpec | None = None
    cutoffs: Annotated[tuple[Probability, ...], msgspec.Meta(max_length=4)] = ()
    thresholds: Thresholds = (0.05, 0.1, 0.2, 0.3, 0.5)


class SelectionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Elastic net (`mixing` 1: lasso, 0: ridge) with cross-validation, and stability selection on random halves."""

    mixing: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    pairs: Annotated[int, msgspec.Meta(ge=10, le=200)] = 50
    threshold: Annotated[float, msgspec.Meta(gt=0.5, le=1)] = 0.75


class CompetingRisksSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cumulative incidence (Aalen-Johansen), cause-specific hazards of both causes, and Fine and Gray's model."""


class ScreenSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Score tests of many candidate columns, each adjusted for the plan's factors, and of families of them."""

    candidates: Annotated[tuple[ColumnName, ...], msgspec.Meta(min_length=1, max_length=MAX_CANDIDATES)]
    families: Annotated[dict[Name, tuple[ColumnName, ...]], msgspec.Meta(max_length=64)] = {}
    adjust: Literal["bh", "by", "storey"] = "bh"
    fdr: Probability = 0.05

    def columns(self) -> tuple[str, ...]:
        """Return the columns that it reads."""
        return self.candidates
