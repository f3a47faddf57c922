"""The four UCI hospitals through the enclave's path: pooled, each alone, and separated, where nothing may crash.

Switzerland has 8 patients without the outcome, and hardly a woman without it: alone it must end in a code. Firth's
estimates are for cohorts that pass the rules and are separated all the same.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartify.cohort.dictionary_toml import load_dictionary_toml
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import load_csv
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import build_fetch
from heartify.disclosure import WithheldCode, WithheldError
from heartify.protocol.plan import parse_plan_toml

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT / ".." / "shared" / "data"
UCI4 = ROOT / "tests" / "e2e" / "uci4"
PLAN = (UCI4 / "plan.toml").read_text()
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
DICTIONARY = load_dictionary_toml(UCI4 / "dictionary.toml")
_STORES = itertools.count()


def without(*names: str) -> str:
    """Return the plan without some factors."""
    head, *factors = PLAN.split("[[factors]]")
    kept = [part for part in factors if not any(f'name = "{name}"' in part for name in names)]
    analysis = "" if "[analysis]" in kept[-1] else '[analysis]\nmodel = "logistic"\n'
    return "[[factors]]".join([head, *kept]) + analysis


@pytest.fixture(scope="module")
def uci4() -> dict[str, dict[str, Any]]:
    """Hospital → the plan's columns, as the enclave reads them back from an encrypted version."""
    if not SHARED.is_dir():
        pytest.skip("third-party cohorts are not beside the project: ../shared is absent")
    return {name: _read(name) for name in HOSPITALS}


def _read(name: str) -> dict[str, Any]:
    columns = parse_plan_toml(PLAN).columns()
    store = open_store(f"memory://model-uci4-{next(_STORES)}")
    table = load_csv(SHARED / f"uci_heart_{name}.csv", DICTIONARY)
    version = write_version(table, DICTIONARY, dataset="0x" + "11" * 32, previous=None, store=store)
    keys = {k: v for k, v in column_keys(version.master_key, version.manifest).items() if k in columns}
    fetch = build_fetch(store, version.manifest)
    return dict(read_columns(version.manifest, DICTIONARY, columns, keys, fetch))


def test_the_pooled_plan_gets_all_tables_of_the_model(uci4, tables):
    released = tables(PLAN, uci4, DICTIONARY)

    assert released["skipped"] == {}
    assert {row["test"] for row in released["tests"]} == {"likelihood-ratio", "wald"}
    assert [row["factor"] for row in released["profile_intervals"]] == [
        "age",
        "sex",
        "cp4",
        "thalach",
        "exang",
        "oldpeak",
    ]
    assert all(row["ci_low"] < row["estimate"] < row["ci_high"] for row in released["profile_intervals"])
    assert {row["errors"] for row in released["robust"]} == {"robust"}


@pytest.mark.parametrize(
    ("hospital", "code"),
    [("switzerland", WithheldCode.TOO_FEW_OUTCOMES), ("va", WithheldCode.SMALL_CELL)],
)
def test_a_hospital_alone_that_a_rule_forbids_ends_in_its_code_and_one_that_none_does_gets_tables(
    uci4, study, tables, hospital, code
):
    with pytest.raises(WithheldError) as caught:
        study(PLAN, {hospital: uci4[hospital]}, DICTIONARY)

    assert caught.value.code is code
    assert len(tables(PLAN, {"cleveland": uci4["cleveland"]}, DICTIONARY)["profile_intervals"]) == 6


@pytest.mark.parametrize("names", [n for k in (1, 2, 3) for n in itertools.combinations(HOSPITALS, k)])
@pytest.mark.parametrize("left_out", [(), ("sex",), ("sex", "cp4")])
def test_any_hospitals_and_factors_end_in_finite_tables_or_a_code(uci4, tables, names, left_out):
    ended, released = None, {}

    try:
        released = tables(without(*left_out), {name: uci4[name] for name in names}, DICTIONARY)
    except WithheldError as exc:
        ended = exc.code

    if ended is not None:
        assert ended in {WithheldCode.TOO_FEW_OUTCOMES, WithheldCode.SMALL_CELL}
        return
    assert all(row["chi2"] is not None and row["p"] is not None for row in released["tests"])
    assert len(released["profile_intervals"]) == 6 - len(left_out)


def test_a_separated_hospital_that_passes_the_rules_gets_firth_s_estimates_and_its_penalised_tests(uci4, study, tables):
    cohort = {"cleveland": {name: values.copy() for name, values in uci4["cleveland"].items()}}
    columns = cohort["cleveland"]
    columns["sex"] = np.where(columns["num"] > 0, columns["sex"], 0).astype(columns["sex"].dtype)  # no healthy men

    data, released = study(PLAN, cohort, DICTIONARY), tables(PLAN, cohort, DICTIONARY)

    assert data.fit.firth is not None
    assert {row["test"] for row in released["tests"]} == {"penalised likelihood-ratio", "wald"}
    sex = next(row for row in released["profile_intervals"] if row["factor"] == "sex")
    assert sex["p"] == "<0.001"
    assert 0 < sex["ci_low"] < sex["estimate"] < sex["ci_high"]
    assert released["skipped"] == {"robust": "not_estimable"}
