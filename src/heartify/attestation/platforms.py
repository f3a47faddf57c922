"""The machines that a policy allows, each named by an identifier that its vendor put into the evidence.

A valid quote of an up-to-date platform can't exclude who holds a probe on its memory bus (Battering RAM, WireTap,
TEE.fail), so a hospital may demand machines of operators and sites that it knows. The names of operator and site are
for readers; what counts is the identifier.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heartify.errors import AttestationError, PolicyError

# PPID and platform instance id of Intel; chip id of AMD.
_ID_SIZES: Final = (16, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPlatform:
    """One machine. `until` is the last day (UTC) on which it's allowed; None is without end.

    Raises PolicyError for an identifier that can't name one machine.
    """

    id: bytes
    operator: str
    site: str
    until: dt.date | None = None

    def __post_init__(self) -> None:
        if len(self.id) not in _ID_SIZES or not any(self.id):
            raise PolicyError(
                f"platform of {self.operator[:40]!r}: the id has {len(self.id)} bytes or is zero",
                hint="a PPID or platform instance id has 16 bytes, a chip id 64",
            )
        if not self.operator.strip() or not self.site.strip():
            raise PolicyError(f"platform {self.id.hex()}: operator and site must be named")


def check_platform_allowed(
    allowed: Iterable[AllowedPlatform], platform_ids: Iterable[bytes], now_utc_seconds: int
) -> None:
    """Refuse a machine that isn't listed, or whose last day has passed.

    Raises AttestationError.
    """
    ids = set(platform_ids)
    listed = [platform for platform in allowed if platform.id in ids]
    if not listed:
        named = ", ".join(sorted(platform_id.hex() for platform_id in ids)) or "none"
        raise AttestationError(
            f"platform is not among those that the policy allows; its ids: {named}",
            hint="add it to [[platforms]] once its operator and site are known",
        )
    today = dt.datetime.fromtimestamp(now_utc_seconds, tz=dt.UTC).date()
    for platform in listed:
        if platform.until is not None and today > platform.until:
            raise AttestationError(
                f"platform {platform.id.hex()} of {platform.operator!r} was allowed until {platform.until}"
            )
