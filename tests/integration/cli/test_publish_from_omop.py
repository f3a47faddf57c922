"""Publishing an OMOP folder by a mapping, on the real sample of OHDSI: 28 persons, so every count is small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heartify.errors import InputError

SAMPLE = Path(__file__).parents[3] / ".." / "shared" / "data" / "omop_synthea27nj"
REASON = "public synthetic sample of OHDSI, nobody is behind it"


@pytest.fixture
def sample() -> Path:
    """The sample's folder."""
    if not SAMPLE.is_dir():
        pytest.skip("the OMOP sample is absent: ../shared/data/omop_synthea27nj")
    return SAMPLE


@pytest.fixture
def described(tmp_path: Path) -> tuple[str, ...]:
    """The options that name the dictionary and the mapping."""
    (tmp_path / "omop.toml").write_text(DICTIONARY)
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return "--dictionary", str(tmp_path / "omop.toml"), "--mapping", str(tmp_path / "mapping.toml")


def acceptances(check: Callable[..., object]) -> list[str]:
    """Accept all that was found, in writing."""
    return [word for finding in check.document["findings"] for word in ("--accept", f"{finding['name']}={REASON}")]


def test_check_says_who_was_left_out_and_why(run, sample, described):
    machine = run("hospital", "check", sample, *described, "--json")
    people = run("hospital", "check", sample, *described)

    derivation = machine.document["derivation"]
    assert machine.code == people.code == 0
    assert derivation["patients"] == 28
    assert derivation["rows"] == machine.document["rows"] == 28 - sum(derivation["excluded"].values()) > 0
    assert f"28 patients read, {derivation['rows']} rows made" in people.out
    assert "left out: the index date is outside every observation period" in people.out


def test_finding_stops_the_publication(run, sample, described):
    ran = run("hospital", "publish", sample, *described, "--dataset", "omop-refused", "--json")

    assert ran.code == InputError.exit_code
    assert "full-date:day" in ran.document["message"]
    assert ran.document["hint"]


def test_accepted_folder_is_published_and_can_be_looked_at(run, market, sample, described, tmp_path):
    accepted = acceptances(run("hospital", "check", sample, *described, "--json"))

    published = run("hospital", "publish", sample, *described, "--dataset", "omop", *accepted, "--json")
    looked = run("lab", "dataset", published.document["version"], "--json")
    (tmp_path / "plan.toml").write_text(PLAN)
    rehearsed = run(
        *("lab", "dry-run", tmp_path / "plan.toml", "--dataset-version", published.document["version"], "--json")
    )

    assert published.code == 0
    assert published.document["columns"] == ["age", "male", "pressure", "anemia", "day", "ill"]
    assert looked.code == 0
    assert rehearsed.code == 0
    assert rehearsed.document["synthetic"] is True
    assert ["its twin has 500" in caveat for caveat in rehearsed.document["caveats"]] == [True]
    assert list((market.hospital / "work").iterdir()) == []


def test_options_of_tables_are_refused_for_events(run, sample, described):
    ran = run("hospital", "publish", sample, *described, "--decimal", ",", "--json")

    assert ran.code == 2
    assert "no meaning for a source with a mapping" in ran.document["message"]


def test_folder_of_events_without_a_mapping_is_refused_with_a_hint(run, sample, described):
    ran = run("hospital", "check", sample, *described[:2], "--json")

    assert ran.code == InputError.exit_code
    assert "--mapping" in ran.document["hint"]


DICTIONARY = """
title = "Synthea in OMOP"
description = ""
[[columns]]
name = "patient"
title = "Patient"
datatype = "category"
role = "id"
[[columns]]
name = "age"
title = "Age"
datatype = "integer"
role = "factor"
unit = "a"
minimum = 0
maximum = 120
[[columns]]
name = "male"
title = "Male"
datatype = "boolean"
role = "factor"
[[columns]]
name = "pressure"
title = "Systolic blood pressure"
datatype = "number"
role = "factor"
unit = "mm[Hg]"
minimum = 40
maximum = 350
decimals = 1
[[columns]]
name = "anemia"
title = "Anemia"
datatype = "boolean"
role = "factor"
[[columns]]
name = "day"
title = "Index date"
datatype = "date"
role = "filter"
[[columns]]
name = "ill"
title = "Bronchitis"
datatype = "boolean"
role = "outcome"
"""
MAPPING = """
[source]
kind = "omop"
[index]
rule = "fixed_date"
date = 2015-06-01
[[columns]]
name = "patient"
kind = "id"
[[columns]]
name = "age"
kind = "age_at_index"
[[columns]]
name = "male"
kind = "sex"
male = "true"
female = "false"
[[columns]]
name = "pressure"
kind = "measurement"
codes = ["OMOP:3004249"]
window_days = [-2000, 0]
pick = "mean"
[[columns]]
name = "anemia"
kind = "condition"
codes = ["SNOMED:271737000"]
[[columns]]
name = "day"
kind = "date"
[[columns]]
name = "ill"
kind = "outcome"
codes = ["OMOP:260139"]
horizon_days = 1500
"""
PLAN = """
title = "Age and bronchitis"
purpose = "health-research"
outcome = { column = "ill", equals = "1" }
factors = [{ name = "age", column = "age" }]
[analysis]
model = "logistic"
"""
