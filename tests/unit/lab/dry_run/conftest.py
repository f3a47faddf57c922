"""Two hospitals of generated patients on the market, each version with the documents that publishing makes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest

from heartify.cohort.catalogue.documents import build_documents
from heartify.cohort.dictionary_toml import parse_steward_dictionary
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.generated import generate_cohorts
from heartify.cohort.rows import TableRows
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import Store, open_store
from heartify.cohort.survey.survey import survey_rows
from heartify.market.catalogue import CatalogueEntry, VersionDocuments
from heartify.protocol.plan import Plan, parse_plan_toml

HOSPITALS = ("aspen", "birch")
COHORTS = generate_cohorts(patients_per_hospital=900)
STEWARD = parse_steward_dictionary(COHORTS.dictionary_toml, file="dictionary.toml")


@dataclasses.dataclass(frozen=True)
class Market:
    """What a lab's catalogue shows, and the stores behind it."""

    entries: tuple[CatalogueEntry, ...]
    stores: tuple[Store, ...]
    plan: Plan


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    stores = tuple(open_store(f"memory://dry-run-market-{name}") for name in HOSPITALS)
    entries = tuple(
        entry_of(write(name, store), store, number)
        for number, (name, store) in enumerate(zip(HOSPITALS, stores, strict=True))
    )
    yield Market(entries, stores, parse_plan_toml(COHORTS.plan_toml, source="plan.toml"))
    for store in stores:
        store.filesystem.rm(store.root, recursive=True)


def write(name: str, store: Store, *, with_twin: bool = True) -> WrittenVersion:
    dictionary = STEWARD.dictionary
    table = parse_csv(COHORTS.csv_texts[name].encode(), dictionary, file=f"{name}.csv")
    random = np.random.default_rng(7)
    documents = build_documents(
        survey_rows(TableRows(table, dictionary), random=random),
        STEWARD,
        dataset="0x" + "22" * 32,
        random=random,
        issued=dt.date(2026, 11, 22),
        with_twin=with_twin,
    )
    return write_version(table, dictionary, dataset="0x" + "22" * 32, previous=None, store=store, documents=documents)


def entry_of(version: WrittenVersion, store: Store, number: int) -> CatalogueEntry:
    return CatalogueEntry(
        version=version.version_id,
        dataset="0x" + f"{number:02}" * 32,
        owner="0x" + "11" * 20,
        url=store.url,
        documents=VersionDocuments(version.manifest, STEWARD.dictionary),
        grants=(),
        problem=None,
    )
