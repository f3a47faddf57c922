"""High-water marks of collateral, so that an unexpired but superseded revocation list can't come back.

Collateral stays valid for about thirty days, so a host could present the list from before its key was revoked.
The marks are pure state: the broker stores what `advance` returns before it acts on the evidence.
Nothing may lower a mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from heartify.attestation.result import CollateralMark
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

    def advance(self, seen: Iterable[CollateralMark]) -> CollateralHighWater:
        """Return the marks after evidence with these numbers. Raises AttestationError when one went backwards."""
        advanced = dict(self.marks)
        for mark in seen:
            highest = advanced.get(mark.scope, 0)
            if mark.number < highest:
                raise AttestationError(
                    f"collateral was rolled back: {mark.scope.split('/')[0]} number {mark.number} after {highest}",
                    hint="the host must fetch current collateral",
                )
            advanced[mark.scope] = mark.number
        return CollateralHighWater(advanced)
