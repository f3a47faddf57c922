"""The plan's model over the contributing hospitals: terms fixed over all of them, and each hospital's blocks.

Names of columns are those that people read: `cp=4` for a level, `sbp'` for the second column of a spline,
`age:male` for an interaction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from heartify.enclave.cases import Floats, HospitalCases, Levels
from heartify.protocol.dictionary import normalise_code
from heartify.protocol.plan import FactorSpec, Plan
from heartify.stats.blocks import CohortBlock
from heartify.stats.design import (
    Categorical,
    Design,
    InteractionSpec,
    Linear,
    Spline,
    SplineSpec,
    TermSpec,
    fix_design,
)
from heartify.stats.errors import InvalidBlockError
from heartify.stats.survival import SurvivalBlock

_LONGEST_CODE = 32


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Model:
    """The design of a plan: `names` (p) as shown; `terms` are the plan's factors, then its interactions (`age:male`).

    `design.terms` are in the order of `terms`.
    """

    design: Design
    names: tuple[str, ...]
    terms: tuple[str, ...]

    @property
    def term_of(self) -> tuple[str, ...]:
        """Return the term (p) of each column."""
        widths = [len(term.names) for term in self.design.terms]
        return tuple(name for name, width in zip(self.terms, widths, strict=True) for _ in range(width))

    def columns_of(self, term: str) -> tuple[int, ...]:
        """Return the indices (of p) of a term's columns."""
        return tuple(index for index, name in enumerate(self.term_of) if name == term)

    def matrix(self, factors: Mapping[str, Floats]) -> Floats:
        """Return X (n, p) of complete factor values."""
        return self.design.matrix(factors)


def build_model(plan: Plan, cases: Sequence[HospitalCases], levels: Levels) -> Model:
    """Fix knots and levels over the complete cases of all hospitals.

    Raises:
        StatsError: a term does not fit the data: knots tie, a level has no patient.
    """
    complete = [case.complete_factors() for case in cases]
    specs = {factor.name: _term_spec(factor, levels, complete) for factor in plan.factors}
    interactions = [InteractionSpec(specs[item.first], specs[item.second]) for item in plan.interactions]
    design = fix_design((*specs.values(), *interactions), complete)
    shown = _shown_names(plan, design, levels)
    names = tuple(":".join(shown.get(part, part) for part in name.split(":")) for name in design.names)
    return Model(design, names, (*specs, *(f"{item.first}:{item.second}" for item in plan.interactions)))


def cohort_blocks(model: Model, cases: Sequence[HospitalCases]) -> tuple[CohortBlock, ...]:
    """Return each hospital's complete cases in the model's columns."""
    return tuple(model.design.block(case.name, case.complete_factors(), case.y) for case in cases)


def survival_blocks(model: Model, cases: Sequence[HospitalCases]) -> tuple[SurvivalBlock, ...]:
    """Return each hospital's complete cases with their follow-up.

    Raises:
        InvalidBlockError: the plan has no follow-up.
    """
    return tuple(_survival_block(model, case) for case in cases)


def _survival_block(model: Model, case: HospitalCases) -> SurvivalBlock:
    if case.time is None:
        raise InvalidBlockError("a survival analysis needs a time")
    rows = case.complete
    return SurvivalBlock(
        case.name,
        model.matrix(case.complete_factors()),
        case.time[rows],
        case.event[rows],
        entry=None if case.entry is None else case.entry[rows],
        stratum=None if case.strata is None else case.strata[rows].astype("int64"),
    )


def _term_spec(factor: FactorSpec, levels: Levels, complete: Sequence[Mapping[str, Floats]]) -> TermSpec:
    if factor.spline is not None:
        return Spline(factor.name, factor.knots) if factor.knots else SplineSpec(factor.name, factor.spline)
    if factor.reference is not None:
        present = {float(value) for values in complete for value in set(values[factor.name].tolist())}
        reference = float(levels[factor.column].index(normalise_code(factor.reference)))
        # Levels without a patient would be columns of zeros: the design has those that occur, and the reference.
        return Categorical(factor.name, tuple(sorted(present | {reference})), reference)
    return Linear(factor.name)


def _shown_names(plan: Plan, design: Design, levels: Levels) -> dict[str, str]:
    """Return design name → shown name for the columns of categories, whose values are indices of level codes."""
    shown: dict[str, str] = {}
    for factor in plan.factors:
        if factor.reference is None:
            continue
        term = design.terms[list(plan.factors).index(factor)]
        if isinstance(term, Categorical):
            for name, value in zip(term.names, term.contrasts, strict=True):
                shown[name] = f"{factor.name}={_shown_code(levels[factor.column][int(value)], int(value))}"
    return shown


def _shown_code(code: str, number: int) -> str:
    return code if len(code) <= _LONGEST_CODE and code.isprintable() and ":" not in code else f"level {number + 1}"
