"""Rules 1 to 4 of SDC profile 1: may this cohort be analysed with this model at all?

Judged before the fit, on exact pooled counts. Hospital is a design stratum and not a factor of rule 4; its own counts
are guarded by rule 9 on the way out. The verdict is for the enclave: of a refusal only `code` may leave it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from heartify.disclosure.codes import NoteCode, WithheldCode, WithheldError
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.disclosure.facts import CohortFacts, FactorFacts

MIN_ROWS = 50
MIN_CELL = 10
MAX_PARAMETERS_PER_ROW = 0.33
MIN_RESIDUAL_DOF = 10
EVENTS_PER_PARAMETER = 10


class Outcome(StrEnum):
    """A rule's or a profile's answer."""

    PASS = "pass"  # noqa: S105 - an answer, not a password
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule's answer; a fail carries its WithheldCode, a pass may carry a note."""

    rule: int
    verdict: Outcome
    code: WithheldCode | NoteCode | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answers of all rules, in their order."""

    rules: tuple[RuleVerdict, ...]

    @property
    def passed(self) -> bool:
        """Return whether no rule failed."""
        return self.code is None

    @property
    def code(self) -> WithheldCode | None:
        """Return the code of the first rule that failed: the only one that goes out."""
        failed = (rule.code for rule in self.rules if rule.verdict is Outcome.FAIL)
        return next((code for code in failed if isinstance(code, WithheldCode)), None)


def check_cohort(facts: CohortFacts) -> Verdict:
    """Judge rules 1, 2, 3 and 4 on the exact facts of the contributing hospitals."""
    return Verdict((_patients(facts), _outcomes(facts), _parameters(facts), _cells(facts)))


def verify_cohort(facts: CohortFacts) -> None:
    """Verify that `check_cohort` passes.

    Raises:
        WithheldError: with the code of the first rule that failed.
    """
    code = check_cohort(facts).code
    if code is not None:
        raise WithheldError(code)


def _patients(facts: CohortFacts) -> RuleVerdict:
    smallest = min((hospital.outcomes.n for hospital in facts.hospitals), default=0)
    enough = facts.pooled.n >= MIN_ROWS and smallest >= MIN_ROWS_PER_HOSPITAL
    return _verdict(1, enough, WithheldCode.TOO_FEW_PATIENTS)


def _outcomes(facts: CohortFacts) -> RuleVerdict:
    fewest = min(facts.pooled.events, facts.pooled.non_events)
    few = fewest < EVENTS_PER_PARAMETER * facts.n_parameters
    note = NoteCode.FEW_EVENTS_PER_PARAMETER if few else None
    return _verdict(2, fewest >= MIN_CELL, WithheldCode.TOO_FEW_OUTCOMES, note)


def _parameters(facts: CohortFacts) -> RuleVerdict:
    n, p = facts.pooled.n, facts.n_parameters
    allowed = p <= MAX_PARAMETERS_PER_ROW * n and n - p >= MIN_RESIDUAL_DOF
    return _verdict(3, allowed, WithheldCode.TOO_MANY_PARAMETERS)


def _cells(facts: CohortFacts) -> RuleVerdict:
    cells = [cell for factor in facts.factors for cell in _cell_counts(factor)]
    # A two-valued term without its counts, or with small ones, is refused even where its factor was not listed.
    cells += [n for term in facts.terms if term.two_valued for n in (term.two_valued.n_low, term.two_valued.n_high)]
    return _verdict(4, all(can_show(cell) or cell == 0 for cell in cells), WithheldCode.SMALL_CELL)


def _cell_counts(factor: FactorFacts) -> Iterator[int]:
    for level in factor.levels:
        yield from (level.n, level.events, level.non_events)


def can_show(count: int) -> bool:
    """Return whether a count is large enough to be shown, rounded (rule 9)."""
    return count >= MIN_CELL


def _verdict(rule: int, passed: bool, code: WithheldCode, note: NoteCode | None = None) -> RuleVerdict:
    return RuleVerdict(rule, Outcome.PASS, note) if passed else RuleVerdict(rule, Outcome.FAIL, code)
