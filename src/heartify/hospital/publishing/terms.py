"""What a steward decides about one publication, and how its progress is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

from heartify.cohort.dictionary_toml import StewardDictionary
from heartify.cohort.rows import PatientRows
from heartify.protocol.canonical import digest_of

Step = Literal["joining", "reading", "encrypting"]
Report = Callable[[Step, int, float | None], None]
"""Called now and then with the step, the rows done so far, and the fraction of the source when it can tell."""


def report_nothing(_step: Step, _rows: int, _fraction: float | None) -> None:
    """Tell nobody."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What a steward decides in writing.

    `accepted_findings` maps a finding's name to the reason; `few_changes_reason` overrides the rule that enough
    patients change between versions; `without_statistics` names columns whose statistics stay in the hospital.
    """

    accepted_findings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    few_changes_reason: str | None = None
    without_statistics: frozenset[str] = frozenset()
    synthetic_twin: bool = True


NO_DECISIONS = Decisions()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Whether the market is told now, and under which address others read the version.

    With `later`, everything is done but that; the same publication with an address of the copy goes on from there. That
    is for stores whose address is known only when all files are there, such as a folder that is added to IPFS.
    """

    later: bool = False
    public_store_url: str | None = None


REGISTER = Registration()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublishTerms:
    """One publication: the rows, what they mean, which dataset they continue, and the steward's decisions."""

    rows: PatientRows
    steward: StewardDictionary
    dataset_name: str = "cohort"
    decisions: Decisions = NO_DECISIONS
    registration: Registration = REGISTER

    def fingerprint(self, rows: PatientRows) -> str | None:
        """Return what changes when anything does that goes into the version; None when the source can't tell.

        `rows` are those of the terms, less the patients who opted out. A publication that was killed is continued only
        under the same fingerprint.
        """
        source = rows.fingerprint()
        if source is None:
            return None
        decisions = {
            "accepted": dict(self.decisions.accepted_findings),
            "few_changes": self.decisions.few_changes_reason,
            "without_statistics": sorted(self.decisions.without_statistics),
            "synthetic_twin": self.decisions.synthetic_twin,
        }
        return digest_of({"source": source, "dictionary": self.steward.dictionary.digest(), "decisions": decisions})
