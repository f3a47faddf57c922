"""Deal states, outcomes and the closed list of failure codes.

Codes under 64 say that the plan or the data were at fault: the pool did its work and is paid. Codes from 64 on lie with
the pool, its host or the brokers: the lab pays nothing. Damaged input counts among the latter, since a host could have
damaged it on the way to be paid for a failure.
"""

from __future__ import annotations

import enum

FIRST_UNPAID_CODE = 64


class DealState(enum.IntEnum):
    """The state of a deal on chain; the last four are final."""

    NONE = 0
    OPEN = 1
    DELIVERED = 2
    WITHHELD = 3
    FAILED = 4
    RECLAIMED = 5


class Outcome(enum.IntEnum):
    """What an enclave signs; the numbers are those of DealState."""

    DELIVERED = 2
    WITHHELD = 3
    FAILED = 4

    @property
    def label(self) -> str:
        """Return the word used in documents and on screens."""
        return self.name.lower()


class FailureCode(enum.IntEnum):
    """Why an enclave failed. Nothing but the code leaves it."""

    PLAN_INVALID = 1
    PLAN_COLUMN_UNKNOWN = 2
    PLAN_NOT_PERMITTED = 3
    DICTIONARIES_DIFFER = 4
    FIT_NOT_CONVERGED = 5
    SIZE_LIMIT_EXCEEDED = 6
    RESULT_KEY_INVALID = 7
    INPUT_DAMAGED = 64
    KEYS_UNAVAILABLE = 65
    HOST_PROTOCOL = 66
    INTERNAL = 67

    @property
    def label(self) -> str:
        """Return the code's name in documents and on screens."""
        return self.name.lower().replace("_", "-")

    @property
    def pool_is_paid(self) -> bool:
        """Tell whether the pool is paid for a run that ended so."""
        return self < FIRST_UNPAID_CODE
