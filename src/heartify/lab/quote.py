"""The quote: which orders a study would match, and what each costs, before any payment. Pure choice, no sending."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TypeVar

from heartify.errors import HeartifyError, InputError, PolicyError
from heartify.market.catalogue import CatalogueEntry, OfferedGrant
from heartify.market.order_book import LiveOrder
from heartify.protocol.dictionary import check_compatible
from heartify.protocol.grant_policy import check_plan_permitted
from heartify.protocol.orders import MAX_GRANTS, AppOffer, PoolOffer
from heartify.protocol.plan import Plan
from heartify.protocol.plan_check import check_plan_fits

Order = TypeVar("Order", AppOffer, PoolOffer)

TYPICAL_SECONDS = 10
"""What a run of the small size class takes end to end on two cores; the bench folder has the measurement."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChosenGrant:
    """One hospital's grant that a study would use."""

    entry: CatalogueEntry
    grant: OfferedGrant

    @property
    def price(self) -> int:
        """Return the price in base units."""
        return self.grant.live.order.price


@dataclasses.dataclass(frozen=True, slots=True)
class Unsuitable:
    """A dataset version that the study can't use, and why."""

    hospital: str
    version: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Quote:
    """An itemised price. `rows` is rounded and for information; `unsuitable` says which versions were passed over."""

    plan: Plan
    grants: tuple[ChosenGrant, ...]
    app: LiveOrder[AppOffer]
    pool: LiveOrder[PoolOffer]
    unsuitable: tuple[Unsuitable, ...]
    expected_seconds: int

    @property
    def total(self) -> int:
        """Return the total price in base units; gas comes on top."""
        return sum(grant.price for grant in self.grants) + self.app.order.price + self.pool.order.price

    @property
    def rows(self) -> int:
        """Return the rounded number of rows that the chosen versions have."""
        return sum(g.entry.documents.manifest.rows_rounded for g in self.grants if g.entry.documents)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What is on the market now."""

    entries: tuple[CatalogueEntry, ...]
    apps: tuple[LiveOrder[AppOffer], ...]
    pools: tuple[LiveOrder[PoolOffer], ...]


def build_quote(plan: Plan, offers: Offers, app_release: str, versions: Collection[str] | None = None) -> Quote:
    """Choose the cheapest fitting grant of each suitable version, the cheapest app offer and pool offer.

    With `versions` exactly those must fit; without, the newest suitable version of every dataset is taken.

    Raises:
        InputError, PolicyError: a named version doesn't fit, or nothing does.
    """
    app = _cheapest([offer for offer in offers.apps if offer.order.appRelease == app_release], "app offer")
    pool = _cheapest(list(offers.pools), "pool offer")
    chosen: dict[str, ChosenGrant] = {}
    unsuitable = []
    for entry in offers.entries:
        if versions is not None and entry.version not in versions:
            continue
        try:
            grant = _fitting_grant(plan, entry, app_release, pool.order)
        except HeartifyError as exc:
            if versions is not None:
                raise
            unsuitable.append(Unsuitable(entry.hospital, entry.version, exc.message))
            continue
        chosen[entry.dataset] = ChosenGrant(entry, grant)
    grants = tuple(chosen.values())
    _check_choice(plan, grants, versions, unsuitable)
    return Quote(plan, grants, app, pool, tuple(unsuitable), TYPICAL_SECONDS)


def _fitting_grant(plan: Plan, entry: CatalogueEntry, app_release: str, pool: PoolOffer) -> OfferedGrant:
    if entry.documents is None:
        raise InputError(f"the version's content can't be read: {entry.problem}")
    check_plan_fits(plan, entry.documents.dictionary)
    usable = [
        grant
        for grant in entry.grants
        if grant.live.order.appRelease == app_release and grant.live.order.teeKinds & pool.teeKind
    ]
    if not usable:
        raise PolicyError("no live grant for this app release and TEE kind")
    problem: PolicyError | None = None
    for grant in sorted(usable, key=lambda item: item.live.order.price):
        try:
            check_plan_permitted(plan, grant.policy)
        except PolicyError as exc:
            problem = exc
            continue
        return grant
    raise problem or PolicyError("no grant permits the plan")


def _check_choice(
    plan: Plan, grants: Sequence[ChosenGrant], versions: Collection[str] | None, unsuitable: Sequence[Unsuitable]
) -> None:
    if versions is not None and (missing := set(versions) - {grant.entry.version for grant in grants}):
        raise InputError(f"the catalogue has no live version {', '.join(sorted(missing))}")
    if not grants:
        reasons = "; ".join(f"{item.hospital}: {item.reason}" for item in unsuitable) or "the catalogue is empty"
        raise InputError(f"no dataset fits the plan ({reasons})")
    if len(grants) > MAX_GRANTS:
        raise InputError(
            f"a deal has at most {MAX_GRANTS} grants, {len(grants)} fit", hint="name the --dataset versions"
        )
    dictionaries = {
        f"{grant.entry.hospital} {index}": grant.entry.documents.dictionary
        for index, grant in enumerate(grants, 1)
        if grant.entry.documents is not None
    }
    check_compatible(dictionaries, plan.columns())


def _cheapest(offers: list[LiveOrder[Order]], what: str) -> LiveOrder[Order]:
    if not offers:
        raise PolicyError(f"there is no live {what} on the market")
    return min(offers, key=lambda offer: offer.order.price)
