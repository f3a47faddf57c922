"""High-water marks of collateral, so that an unexpired but superseded revocation list can't come back.

Collateral stays valid for about thirty days, so a host could present the list from before its key was revoked.
The marks are pure state: the broker stores what `advance` returns before it acts on the evidence.
Nothing may lower a mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from heartify.attestation.result import CollateralNumbers
from heartify.errors import AttestationError


@dataclass(frozen=True, slots=True)
class CollateralHighWater:
    """The highest number seen per scope. Scopes are texts such as `root-crl/<root key id>`, values whole numbers."""

    marks: Mapping[str, int]

    def __post_init__(self) -> None:
        for scope, number in self.marks.items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise AttestationError(f"collateral high-water mark of {scope[:80]!r} is not a whole number")
        object.__setattr__(self, "marks", MappingProxyType(dict(self.marks)))

    def advance(self, numbers: CollateralNumbers) -> CollateralHighWater:
        """Return the marks after evidence with these numbers. Raises AttestationError when one went backwards."""
        seen = _numbers_by_scope(numbers)
        for scope, number in seen.items():
            mark = self.marks.get(scope, 0)
            if number < mark:
                raise AttestationError(
                    f"collateral was rolled back: {scope.split('/')[0]} number {number} after {mark}",
                    hint="the host must fetch current collateral",
                )
        return CollateralHighWater({**self.marks, **seen})


def _numbers_by_scope(numbers: CollateralNumbers) -> dict[str, int]:
    root = numbers.root_key_id.hex()
    return {
        f"root-crl/{root}": numbers.root_ca_crl_number,
        f"pck-crl/{root}/{numbers.pck_ca}": numbers.pck_crl_number,
        f"tcb-info/{root}/{numbers.fmspc.hex()}": numbers.tcb_evaluation_data_number,
        f"qe-identity/{root}": numbers.qe_evaluation_data_number,
    }
