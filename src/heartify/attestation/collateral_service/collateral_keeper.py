"""Keeps collateral fresh: asks when it is due, falls back to what is kept and still valid, and never goes back.

    fresh    until the earlier of the collateral's own next update and the refresh interval after it was fetched
    stale    the service is away or offers older: what is kept is used, and its age is said, until its next update
    ended    after that there is nothing to use: ServiceError

Collateral that nobody of the policy's roots signed is neither kept nor used. One thread fetches for all that wait.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from heartify.attestation.collateral_service.collateral_age import CollateralAge, age_of_collateral
from heartify.attestation.collateral_service.collateral_cache import CollateralCache, KeptCollateral
from heartify.attestation.collateral_service.fetch_restraint import FetchRestraint
from heartify.attestation.collateral_service.needs import CollateralNeed, DcapNeed
from heartify.attestation.collateral_service.signatures import check_dcap_signatures, check_snp_signatures
from heartify.errors import AttestationError, HeartifyError, ServiceError

REFRESH_SECONDS: Final = 6 * 3600
_STRIPES: Final = 32


@dataclass(frozen=True, slots=True)
class CollateralReading:
    """Collateral to verify with. `problem` says why it wasn't refreshed although it was due; None when it is fresh."""

    text: str
    fetched_at: int
    age_seconds: int
    next_update: int
    problem: str | None


class CollateralKeeper:
    """Serves collateral by need from a cache, which it fills through `fetch`."""

    def __init__(
        self,
        fetch: Callable[[CollateralNeed], str],
        cache: CollateralCache,
        *,
        root_keys: frozenset[bytes] | None,
        refresh_seconds: int = REFRESH_SECONDS,
        restraint: FetchRestraint | None = None,
    ) -> None:
        self._fetch = fetch
        self._cache = cache
        self._root_keys = root_keys
        self._refresh_seconds = refresh_seconds
        self._restraint = restraint or FetchRestraint()
        # One lock for each need would grow with what strangers ask for; a few shared ones do.
        self._locks = tuple(threading.Lock() for _ in range(_STRIPES))

    def reading(self, need: CollateralNeed, now_utc_seconds: int) -> CollateralReading:
        """Return collateral for a need.

        Raises:
            ServiceError: it can't be had, and none is kept that is still valid.
        """
        usable = self._usable(need, now_utc_seconds)
        if usable is not None and self._is_fresh(usable, now_utc_seconds):
            return _reading(usable, now_utc_seconds, None)
        with self._locks[zlib.crc32(need.name.encode()) % _STRIPES]:
            usable = self._usable(need, now_utc_seconds)  # another thread may have fetched it meanwhile
            if usable is not None and self._is_fresh(usable, now_utc_seconds):
                return _reading(usable, now_utc_seconds, None)
            try:
                return _reading(self._refresh(need, now_utc_seconds), now_utc_seconds, None)
            except HeartifyError as exc:
                if usable is None:
                    raise ServiceError(f"no collateral for {need.name}: {exc.message}", hint=exc.hint) from exc
                return _reading(usable, now_utc_seconds, exc.message)

    def _refresh(self, need: CollateralNeed, now: int) -> KeptCollateral:
        self._restraint.take_turn(need.name, now)
        try:
            text = self._fetch(need)
            age = self._check(need, text)
            if age.next_update <= now:
                raise ServiceError("the collateral service's answer has run out already")
            new = KeptCollateral(need.name, text, now)
            self._cache.replace(new, lambda kept: self._check_not_older(need, age, kept))
        except HeartifyError as exc:
            self._restraint.failed(need.name, now, exc.message)
            raise
        self._restraint.succeeded(need.name)
        return new

    def _check_not_older(self, need: CollateralNeed, age: CollateralAge, kept: KeptCollateral | None) -> None:
        if kept is None:
            return
        try:
            kept_age = self._check(need, kept.content)
        except AttestationError:
            return  # of a root that isn't trusted any more, or damaged: it has no say
        age.check_not_older_than(kept_age)

    def _usable(self, need: CollateralNeed, now: int) -> KeptCollateral | None:
        kept = self._cache.kept(need.name)
        if kept is None:
            return None
        try:
            return kept if self._check(need, kept.content).next_update > now else None
        except AttestationError:
            return None

    def _is_fresh(self, kept: KeptCollateral, now: int) -> bool:
        return 0 <= now - kept.fetched_at < self._refresh_seconds

    def _check(self, need: CollateralNeed, text: str) -> CollateralAge:
        age = age_of_collateral(text)
        check = check_dcap_signatures if isinstance(need, DcapNeed) else check_snp_signatures
        check(text, self._root_keys)
        return age


def _reading(kept: KeptCollateral, now: int, problem: str | None) -> CollateralReading:
    next_update = age_of_collateral(kept.content).next_update
    return CollateralReading(kept.content, kept.fetched_at, max(0, now - kept.fetched_at), next_update, problem)
