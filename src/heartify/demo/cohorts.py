"""The demo's input: DIR/<hospital>.csv, DIR/dictionary.toml, DIR/plan.toml, and findings that the steward accepted.

`accepted-findings.toml` is optional: a table for each hospital, finding name = reason.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path

from heartify.cohort.dictionary_toml import load_steward_dictionary
from heartify.cohort.generated import store_demo_data
from heartify.cohort.lint.publication import check_publishable
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.open_rows import open_rows
from heartify.errors import InputError
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.plan import Plan, parse_plan_toml
from heartify.protocol.plan_check import check_plan_fits

MAX_HOSPITALS = 16


@dataclasses.dataclass(frozen=True, slots=True)
class DemoCohorts:
    """The input of one demo. `true_weights` are known for generated cohorts only."""

    csv_files: Mapping[str, Path]
    dictionary_file: Path
    plan_file: Path
    plan: Plan
    dictionary: DataDictionary
    accepted_findings: Mapping[str, Mapping[str, str]]
    true_weights: Mapping[str, float] | None


def load_cohorts(folder: Path) -> DemoCohorts:
    """Read and check somebody's own cohorts as publishing will, before anything is started.

    Raises:
        InputError: a file is missing or wrong; every CSV is read against the dictionary.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", hint="--data takes a folder with <hospital>.csv files")
    csv_files = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    if not 0 < len(csv_files) <= MAX_HOSPITALS:
        raise InputError(
            f"{folder} has {len(csv_files)} CSV files", hint=f"expected 1 to {MAX_HOSPITALS}, one a hospital"
        )
    dictionary_file, plan_file = folder / "dictionary.toml", folder / "plan.toml"
    steward = load_steward_dictionary(dictionary_file)
    dictionary = steward.dictionary
    plan = _load_plan(plan_file)
    check_plan_fits(plan, dictionary)
    accepted = _accepted_findings(folder, csv_files)
    for name, path in csv_files.items():
        check_publishable(load_rows(open_rows(str(path), steward)), dictionary, accepted.get(name, {}), salt=bytes(32))
    return DemoCohorts(csv_files, dictionary_file, plan_file, plan, dictionary, accepted, None)


def generate_into(folder: Path) -> DemoCohorts:
    """Write the generated cohorts of four hospitals into a folder and return them with their true weights."""
    generated = store_demo_data(folder)
    return dataclasses.replace(load_cohorts(folder), true_weights=generated.true_weights)


def _load_plan(path: Path) -> Plan:
    try:
        return parse_plan_toml(path.read_text(encoding="utf-8"), source=path.name)
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"the plan {path} can't be read") from exc


def _accepted_findings(folder: Path, csv_files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    path = folder / "accepted-findings.toml"
    if not path.exists():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InputError(f"{path} can't be read: {exc}") from exc
    tables = {name: table for name, table in document.items() if isinstance(table, dict)}
    if set(tables) != set(document) or not set(tables) <= set(csv_files):
        raise InputError(
            f"{path} must have one table for each hospital", hint='["cleveland"] then "finding" = "reason"'
        )
    return {name: {str(key): str(reason) for key, reason in table.items()} for name, table in tables.items()}
