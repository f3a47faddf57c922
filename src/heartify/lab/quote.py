"""The quote: which orders a study would match, and what each costs, before any payment. Pure choice, no sending."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TypeVar

from heartify.enclave.size_limits import count_parameters, working_bytes
from heartify.errors import HeartifyError, InputError, PolicyError
from heartify.market.catalogue import CatalogueEntry, OfferedGrant
from heartify.market.order_book import LiveOrder
from heartify.protocol.dictionary import check_compatible
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import check_plan_permitted
from heartify.protocol.orders import MAX_GRANTS, AppOffer, DatasetGrant, PoolOffer
from heartify.protocol.plan import Plan
from heartify.protocol.plan_check import check_plan_fits
from heartify.protocol.size_class import size_class

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
        return _rows(self.grants)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What is on the market now."""

    entries: tuple[CatalogueEntry, ...]
    apps: tuple[LiveOrder[AppOffer], ...]
    pools: tuple[LiveOrder[PoolOffer], ...]


def build_quote(plan: Plan, offers: Offers, app_release: str, versions: Collection[str] | None = None) -> Quote:
    """Choose the cheapest app offer, the pool offer that most versions can be used with, and their cheapest grants.

    Among pool offers that serve equally many versions the cheapest is taken: a cheap offer that no grant accepts must
    not stand in the way of the others. With `versions` exactly those must fit; without, the newest suitable version of
    every dataset is taken.

    Raises:
        InputError, PolicyError: a named version doesn't fit, or nothing does.
    """
    app = _cheapest_first([offer for offer in offers.apps if offer.order.appRelease == app_release], "app offer")[0]
    entries = [entry for entry in offers.entries if versions is None or entry.version in versions]
    choices = [_choose(plan, entries, app_release, pool) for pool in _cheapest_first(offers.pools, "pool offer")]
    best = max(choices, key=lambda choice: len(choice.grants))  # the first, so the cheapest, of the largest
    if versions is not None:
        _check_named(versions, entries, best)
    _check_choice(plan, best)
    return Quote(plan, best.grants, app, best.pool, best.unsuitable, TYPICAL_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True)
class _Choice:
    """What would be used with one pool offer; `problems` are the errors behind `unsuitable`."""

    pool: LiveOrder[PoolOffer]
    grants: tuple[ChosenGrant, ...]
    unsuitable: tuple[Unsuitable, ...]
    problems: tuple[HeartifyError, ...]


def _choose(plan: Plan, entries: Sequence[CatalogueEntry], app_release: str, pool: LiveOrder[PoolOffer]) -> _Choice:
    chosen: dict[str, ChosenGrant] = {}
    refused: list[tuple[CatalogueEntry, HeartifyError]] = []
    for entry in entries:
        try:
            chosen[entry.dataset] = ChosenGrant(entry, _fitting_grant(plan, entry, app_release, pool.order))
        except HeartifyError as exc:
            refused.append((entry, exc))
    grants = tuple(chosen.values())
    try:
        _check_size(plan, grants, pool.order)
    except HeartifyError as exc:
        refused += [(grant.entry, exc) for grant in grants]
        grants = ()
    unsuitable = tuple(Unsuitable(entry.hospital, entry.version, exc.message) for entry, exc in refused)
    return _Choice(pool, grants, unsuitable, tuple(exc for _, exc in refused))


def _check_size(plan: Plan, grants: Sequence[ChosenGrant], pool: PoolOffer) -> None:
    """Refuse what the enclave would refuse after payment; see `heartify.enclave.size_limits`."""
    limits, rows = size_class(pool.sizeClass), _rows(grants)
    if rows > limits.max_rows:
        raise PolicyError(f"about {rows} rows are too many for a pool of size class {limits.name}")
    cells = rows * len(plan.columns())
    if cells > limits.max_cells:
        raise PolicyError(
            f"about {rows} rows of {len(plan.columns())} columns are too much for a pool of size class {limits.name}",
            hint="ask for fewer columns or hospitals, or choose a pool of a larger class",
        )
    dictionaries = [grant.entry.documents.dictionary for grant in grants if grant.entry.documents]
    if not dictionaries:
        return
    needed = working_bytes(rows, cells, count_parameters(plan, dictionaries[0]))
    if needed > limits.max_memory_bytes:
        raise PolicyError(
            f"the study would need about {needed / 2**30:.1f} GiB, a pool of size class {limits.name} gives "
            f"{limits.max_memory_bytes / 2**30:.0f}",
            hint="ask for fewer columns or levels, or choose a pool of a larger class",
        )


def _rows(grants: Sequence[ChosenGrant]) -> int:
    return sum(grant.entry.documents.manifest.rows_rounded for grant in grants if grant.entry.documents)


def _fitting_grant(plan: Plan, entry: CatalogueEntry, app_release: str, pool: PoolOffer) -> OfferedGrant:
    if entry.documents is None:
        raise InputError(f"the version's content can't be read: {entry.problem}")
    check_plan_fits(plan, entry.documents.dictionary)
    usable = [grant for grant in entry.grants if _is_usable(grant.live.order, app_release, pool)]
    if not usable:
        raise PolicyError("no live grant for this app release, TEE kind and pool")
    problem: PolicyError | None = None
    for grant in sorted(usable, key=lambda item: item.live.order.price):
        try:
            check_plan_permitted(plan, grant.policy)
        except PolicyError as exc:
            problem = exc
            continue
        return grant
    raise problem or PolicyError("no grant permits the plan")


def _is_usable(grant: DatasetGrant, app_release: str, pool: PoolOffer) -> bool:
    """Tell what the contract will ask at match: the same release, a TEE kind and a pool that the hospital accepts."""
    return (
        grant.appRelease == app_release
        and bool(grant.teeKinds & pool.teeKind)
        and grant.pool in (ZERO_ADDRESS, pool.pool)
    )


def _check_named(versions: Collection[str], entries: Sequence[CatalogueEntry], choice: _Choice) -> None:
    if missing := set(versions) - {entry.version for entry in entries}:
        raise InputError(f"the catalogue has no live version {', '.join(sorted(missing))}")
    if choice.problems:
        raise choice.problems[0]
    if len(choice.grants) < len(entries):
        raise InputError(
            "two of the named versions are of the same dataset", hint="their patients would be counted twice"
        )


def _check_choice(plan: Plan, choice: _Choice) -> None:
    grants = choice.grants
    if not grants:
        reasons = "; ".join(f"{item.hospital}: {item.reason}" for item in choice.unsuitable) or "the catalogue is empty"
        raise InputError(f"no dataset fits the plan ({reasons})")
    if len(grants) > MAX_GRANTS:
        raise InputError(
            f"a deal has at most {MAX_GRANTS} grants, {len(grants)} fit", hint="name versions by --dataset-version"
        )
    dictionaries = {
        f"{grant.entry.hospital} {index}": grant.entry.documents.dictionary
        for index, grant in enumerate(grants, 1)
        if grant.entry.documents is not None
    }
    check_compatible(dictionaries, plan.columns())


def _cheapest_first(offers: Sequence[LiveOrder[Order]], what: str) -> list[LiveOrder[Order]]:
    if not offers:
        raise PolicyError(f"there is no live {what} on the market")
    return sorted(offers, key=lambda offer: offer.order.price)
