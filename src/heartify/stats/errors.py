"""Why a set of arrays has no usable estimate.

A family of its own (ValueError), because stats/ knows nothing of users, hints or exit codes: the enclave maps each
class to a code of the closed list and drops the message. Messages name columns and hospitals, never a patient's value.

    StatsError
    ├── InvalidBlockError        arrays have the wrong shape, type or values; names clash
    ├── DegenerateOutcomeError   nobody, or everybody, has the outcome
    ├── RankDeficientError       a column is constant or a combination of others (hospitals included)
    ├── SeparationError          the outcome is completely or quasi-completely separated: no finite maximum
    └── NotConvergedError        the iteration ended without a maximum, for another reason
"""

from __future__ import annotations


class StatsError(ValueError):
    """Base of the family: no estimate can be given."""


class InvalidBlockError(StatsError):
    """Arrays have the wrong shape, type or values, or names clash."""


class DegenerateOutcomeError(StatsError):
    """Nobody, or everybody, has the outcome."""


class RankDeficientError(StatsError):
    """A column is constant, or a linear combination of other columns and hospital intercepts."""


class SeparationError(StatsError):
    """A linear combination of the columns separates the outcome, completely or quasi-completely."""


class NotConvergedError(StatsError):
    """Newton's iteration ended without reaching a maximum."""
