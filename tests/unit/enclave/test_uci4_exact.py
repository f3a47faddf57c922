"""Acceptance 2, inside: the enclave's own path from encrypted columns to estimates is R's to 1e-6 SE."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from heartify.cohort.dictionary_toml import load_dictionary_toml
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import load_csv
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import build_fetch
from heartify.enclave.cases import HospitalCases, build_cases
from heartify.enclave.study import prepare
from heartify.protocol.plan import parse_plan_toml

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT / ".." / "shared"
UCI4 = ROOT / "tests" / "e2e" / "uci4"
_STORES = itertools.count()


def enclave_cases(index: int, name: str) -> HospitalCases:
    """Publish one hospital's CSV, read the plan's columns back as the enclave does, and keep the complete cases."""
    dictionary, plan = load_dictionary_toml(UCI4 / "dictionary.toml"), parse_plan_toml((UCI4 / "plan.toml").read_text())
    table = load_csv(SHARED / "data" / f"uci_heart_{name}.csv", dictionary)
    store = open_store(f"memory://uci4-exact-{next(_STORES)}")
    version = write_version(table, dictionary, dataset="0x" + "11" * 32, previous=None, store=store)
    keys = {k: v for k, v in column_keys(version.master_key, version.manifest).items() if k in plan.columns()}
    fetch = build_fetch(store, version.manifest)
    columns = read_columns(version.manifest, dictionary, plan.columns(), keys, fetch)
    return build_cases(plan, dictionary, columns, {}, index=index, name=name, version=version.version_id)


def test_enclave_estimates_are_rs_to_a_millionth_of_a_standard_error() -> None:
    if not (SHARED / "data").is_dir() or not (SHARED / "vectors").is_dir():
        pytest.skip("third-party cohorts and reference values are not beside the project: ../shared is absent")
    truth = json.loads((SHARED / "vectors" / "statistics" / "truth.json").read_text())["uci4"]
    plan = parse_plan_toml((UCI4 / "plan.toml").read_text())
    names = ("cleveland", "hungarian", "switzerland", "va")

    data, _ = prepare(plan, tuple(enclave_cases(index, name) for index, name in enumerate(names)), {})
    fit = data.fit.logistic

    assert fit is not None
    assert fit.n_by_block == truth["n_by_hospital"]
    assert fit.events_by_block == truth["events_by_hospital"]
    expected = truth["fixed_effects"]
    for name, coef in zip(fit.names, fit.coef, strict=True):
        key = name.replace("hospital:", "hospital")
        assert abs(coef - expected["coef"][key]) < 1e-6 * expected["se"][key], name
    assert abs(fit.loglik - expected["loglik"]) < 1e-6
    assert abs(fit.auc - expected["auc"]) < 1e-9
