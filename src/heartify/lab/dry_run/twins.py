"""Which dataset versions a dry run rehearses with, and their synthetic twins, fetched and checked by digest."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import pyarrow as pa

from heartify.cohort.catalogue.twin_file import TWIN_FILE, parse_twin
from heartify.cohort.storage.store import Store
from heartify.errors import HeartifyError, InputError, PolicyError
from heartify.market.catalogue import CatalogueEntry, VersionDocuments, load_public_document
from heartify.protocol.dictionary import check_compatible
from heartify.protocol.grant_policy import GrantPolicy, check_plan_permitted
from heartify.protocol.plan import Plan
from heartify.protocol.plan_check import check_plan_fits


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class TwinHospital:
    """One hospital of a dry run: the version's public documents, the policy that it would grant, and its twin."""

    version: str
    documents: VersionDocuments
    policy: GrantPolicy
    twin: pa.Table


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """A dataset version that can't take part, and why."""

    hospital: str
    version: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part in a dry run, and who does not."""

    hospitals: tuple[TwinHospital, ...]
    left_out: tuple[LeftOut, ...]


def choose_twins(plan: Plan, entries: Sequence[CatalogueEntry], versions: Collection[str] | None = None) -> Cast:
    """Choose the newest fitting version of every dataset, or exactly the named ones, and fetch their twins.

    Raises:
        InputError: a named version isn't on the market, doesn't fit or has no twin; or nothing fits.
    """
    if versions is not None and (missing := set(versions) - {entry.version for entry in entries}):
        raise InputError(f"the catalogue has no live version {', '.join(sorted(missing))}")
    chosen: dict[str, TwinHospital] = {}
    left_out: list[LeftOut] = []
    for entry in entries:
        if versions is not None and entry.version not in versions:
            continue
        try:
            chosen[entry.dataset] = _twin_hospital(plan, entry)
        except HeartifyError as exc:
            if versions is not None:
                raise
            left_out.append(LeftOut(entry.hospital, entry.version, exc.message))
    if not chosen:
        reasons = "; ".join(f"{item.hospital}: {item.reason}" for item in left_out) or "the catalogue is empty"
        raise InputError(f"no dataset fits the plan ({reasons})")
    hospitals = tuple(chosen.values())
    dictionaries = {f"{item.policy.hospital} {i}": item.documents.dictionary for i, item in enumerate(hospitals, 1)}
    check_compatible(dictionaries, plan.columns())
    return Cast(hospitals, tuple(left_out))


def caveats_of(hospital: TwinHospital) -> tuple[str, ...]:
    """Say when a twin has many more rows than its cohort: what is delivered of it may be withheld of them."""
    patients = hospital.documents.manifest.rows_rounded
    if 2 * patients > hospital.twin.num_rows:
        return ()
    counted = f"about {patients}" if patients else "fewer than 10"
    sizes = f"{hospital.policy.hospital} has {counted} patients and its twin has {hospital.twin.num_rows}"
    return (f"{sizes}: a real run is likelier to be withheld",)


def load_twin(store: Store, version: str, documents: VersionDocuments) -> pa.Table:
    """Fetch and parse a version's synthetic twin.

    Raises:
        InputError: the version was published without one, or it doesn't follow the dictionary.
        IntegrityError, ServiceError: the store gives something else, or nothing.
    """
    data = load_public_document(store, version, documents.manifest, TWIN_FILE)
    if data is None:
        raise InputError("the version was published without a synthetic twin", hint="it can't be tried before paying")
    return parse_twin(data, documents.dictionary)


def _twin_hospital(plan: Plan, entry: CatalogueEntry) -> TwinHospital:
    if entry.documents is None:
        raise InputError(f"the version's content can't be read: {entry.problem}")
    check_plan_fits(plan, entry.documents.dictionary)
    policy = _policy(plan, entry)
    twin = load_twin(entry.open_store(), entry.version, entry.documents)
    return TwinHospital(entry.version, entry.documents, policy, twin)


def _policy(plan: Plan, entry: CatalogueEntry) -> GrantPolicy:
    """Return the policy of a live grant that permits the plan; without any grant, one that would."""
    problem: PolicyError | None = None
    for grant in entry.grants:
        try:
            check_plan_permitted(plan, grant.policy)
        except PolicyError as exc:
            problem = exc
            continue
        return grant.policy
    if problem is not None:
        raise problem
    return GrantPolicy(
        hospital=f"hospital-{entry.owner[2:10]}", columns=plan.columns(), purposes=(plan.purpose,), permit=plan.permit
    )
