"""Findings about a cohort before it is published, and the steward's explicit decisions about them.

A finding stops publication unless its name (`code:column`) is accepted in writing; an acceptance that meets no finding
is refused too, since it shows that the steward decided about something else. Nothing here may name a patient's value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from heartify.errors import InputError

FEW_ROWS = 10
"""Counts below this are not told: SDC profile 1, rule 9."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicion: a stable code, the column, what was seen (never a value), and what to do."""

    code: str
    column: str
    message: str
    hint: str

    @property
    def name(self) -> str:
        """The name under which a steward accepts it."""
        return f"{self.code}:{self.column}"


def describe_share(count: float, rows: int) -> str:
    """Return how many of the rows it is, as coarsely as a report may say it."""
    if count < FEW_ROWS:
        return f"fewer than {FEW_ROWS} rows"
    share = 100 * count / rows
    return "less than 1 % of the rows" if share < 1 else f"about {share:.0f} % of the rows"


def check_accepted(findings: Iterable[Finding], accepted: Collection[str]) -> None:
    """Check that each finding is accepted by name, and that each acceptance meets a finding.

    Raises InputError listing all that are not.
    """
    found = {finding.name: finding for finding in findings}
    open_findings = [finding for name, finding in found.items() if name not in accepted]
    if open_findings:
        lines = [f"{finding.name}: {finding.message} ({finding.hint})" for finding in open_findings]
        raise InputError(
            f"the cohort has {len(lines)} finding(s) that nobody decided about:\n  " + "\n  ".join(lines),
            hint="correct the data or the dictionary, or accept each finding by its name with a written reason",
        )
    unknown = sorted(set(accepted) - set(found))
    if unknown:
        raise InputError(
            f"accepted findings that were not found: {', '.join(unknown)}",
            hint="remove them, or correct their spelling: code:column",
        )
