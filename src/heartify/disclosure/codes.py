"""The closed lists of codes that SDC profile 1 speaks in, and the one error that carries a refusal.

A withheld outcome leaves the enclave as one of these small numbers and nothing else: a message could quote a count.
Codes are coarse on purpose (events and non-events share one), because a refusal answers a question too. They are
stable: a code is never reused, and 1..63 is the whole room.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique

from heartify.errors import DisclosureError


@unique
class WithheldCode(IntEnum):
    """Why an output was withheld; the number is what the receipt shows."""

    TOO_FEW_PATIENTS = 1  # rule 1: fewer than 50 pooled complete cases, or no hospital with 20
    TOO_FEW_OUTCOMES = 2  # rule 2: fewer than 10 events, or fewer than 10 non-events
    TOO_MANY_PARAMETERS = 3  # rule 3: more than 0.33 n parameters, or fewer than 10 residual degrees of freedom
    SMALL_CELL = 4  # rule 4: a level, or a level by outcome cell, of 1 to 9 patients
    NOT_ESTIMABLE = 5  # rule 5 in part: separated or degenerate outcome, collinear terms, or no convergence
    OUTPUT_SCHEMA = 8  # rules 7 to 10 and 13: the document is not of the closed schema, or off a rounding grid
    OUTPUT_TOO_LARGE = 13  # rule 13: the document is longer than its limit


@unique
class NoteCode(IntEnum):
    """What a reader of a released result must know."""

    FEW_EVENTS_PER_PARAMETER = 1  # rule 2: fewer than 10 events (or non-events) per parameter
    OUTCOMES_SUPPRESSED = 2  # rule 9: at least one hospital's events are not shown, nor counted in the total


@unique
class HospitalStatus(StrEnum):
    """Whether a hospital's rows are in the fit."""

    CONTRIBUTED = "contributed"
    LEFT_OUT = "left_out"


@unique
class HospitalReason(StrEnum):
    """Why a hospital is left out, or some of its figures are not shown."""

    TOO_FEW_PATIENTS = "too_few_patients"
    OUTCOMES_SUPPRESSED = "outcomes_suppressed"


class WithheldError(DisclosureError):
    """The disclosure rules withheld the output; `code` is all that may leave the enclave."""

    def __init__(self, code: WithheldCode) -> None:
        super().__init__(
            f"the disclosure rules withheld the output: code {code.value} ({code.name.lower()})",
            hint="see the list of codes in the explanation of the disclosure rules",
        )
        self.code = code
