"""The grant policy: which columns, for which purposes, under which disclosure profile a grant allows use.

The grant on chain carries only its digest. The broker checks it before it releases a key, and the enclave checks it
again before it reads a row.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.errors import PolicyError
from heartify.protocol.canonical import digest_of
from heartify.protocol.plan import ColumnName, Name, Plan, Purpose

DISCLOSURE_PROFILE = "sdc-1"


class GrantPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a grant permits beyond its price and dates; `hospital` is the name under which results list the hospital."""

    format: Literal["heartify.grant-policy/1"] = "heartify.grant-policy/1"
    hospital: Name
    columns: Annotated[tuple[ColumnName, ...], msgspec.Meta(min_length=1)]
    purposes: Annotated[tuple[Purpose, ...], msgspec.Meta(min_length=1)]
    disclosure_profile: Literal["sdc-1"] = "sdc-1"
    permit: str | None = None

    def digest(self) -> str:
        """Return the digest that the grant carries."""
        return digest_of(self)


def check_plan_permitted(plan: Plan, policy: GrantPolicy) -> None:
    """Check a plan against a grant policy.

    Raises:
        PolicyError: a column or the purpose is not granted, or the permit is missing or another one.
    """
    if refused := [column for column in plan.columns() if column not in policy.columns]:
        raise PolicyError(
            f"the grant does not cover the columns {', '.join(refused)}",
            hint=f"granted columns: {', '.join(policy.columns)}",
        )
    if plan.purpose not in policy.purposes:
        granted = ", ".join(purpose.value for purpose in policy.purposes)
        raise PolicyError(f"the purpose {plan.purpose.value} is not granted", hint=f"granted purposes: {granted}")
    if policy.permit is not None and plan.permit != policy.permit:
        raise PolicyError("the grant demands a permit that the plan does not name", hint="set `permit` in the plan")
