"""Drafts of public cohorts: the guesses that matter, column by column, and what becomes of their rows."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pytest

from heartify.cohort.describing.describe import describe_source
from heartify.cohort.describing.draft import DraftDictionary, draft_dictionary
from heartify.cohort.dictionary_toml import ColumnSource, parse_steward_dictionary
from heartify.cohort.sources.open_rows import open_raw, open_rows
from heartify.cohort.sources.source_options import SourceOptions
from heartify.errors import InputError

UCI = [f"uci_heart_{place}.csv" for place in ("cleveland", "hungarian", "switzerland", "va")]
FILES = [*UCI, "framingham_4240.csv", "whas500.csv", "mi_complications_1700.csv", "cardio_train.csv"]


@functools.cache
def drafted(path: Path) -> DraftDictionary:
    return draft_dictionary(open_raw(str(path)), random=np.random.default_rng(1))


def guesses(draft: DraftDictionary) -> dict[str, tuple[str, str, str, str | None]]:
    """By column: datatype, role, unit and LOINC code."""
    return {c.name: (c.datatype, c.role, c.unit, c.loinc) for c in draft.steward.dictionary.columns}


BOOLEAN = ("boolean", "factor", "1", None)
CODED = ("category", "factor", "1", None)


def test_framingham_is_recognised(shared_data):
    found = guesses(drafted(shared_data / "framingham_4240.csv"))

    assert found == {
        "male": BOOLEAN,
        "age": ("integer", "factor", "a", "30525-0"),
        "education": CODED,
        "currentSmoker": BOOLEAN,
        "cigsPerDay": ("integer", "factor", "/d", None),
        "BPMeds": BOOLEAN,
        "prevalentStroke": BOOLEAN,
        "prevalentHyp": BOOLEAN,
        "diabetes": BOOLEAN,
        "totChol": ("integer", "factor", "mg/dL", "2093-3"),
        "sysBP": ("number", "factor", "mm[Hg]", "8480-6"),
        "diaBP": ("number", "factor", "mm[Hg]", "8462-4"),
        "BMI": ("number", "factor", "kg/m2", "39156-5"),
        "heartRate": ("integer", "factor", "/min", "8867-4"),
        "glucose": ("integer", "factor", "mg/dL", "2339-0"),
        "TenYearCHD": ("boolean", "outcome", "1", None),
    }


def test_cardio_train_has_ages_in_days_codes_for_cholesterol_and_impossible_pressures(shared_data):
    draft = drafted(shared_data / "cardio_train.csv")
    found = guesses(draft)
    column = draft.steward.dictionary.column

    assert found["id"][:2] == ("category", "id")
    assert found["age"] == ("number", "factor", "a", "30525-0")
    assert draft.steward.sources["age"] == ColumnSource(name="age", unit="d")
    assert [(level.code, level.label) for level in column("gender").levels] == [("1", "female"), ("2", "male")]
    assert found["height"] == ("integer", "factor", "cm", "8302-2")
    assert found["weight"] == ("number", "factor", "kg", "29463-7")
    assert (found["ap_hi"][2:], found["ap_lo"][2:]) == (("mm[Hg]", "8480-6"), ("mm[Hg]", "8462-4"))
    assert "impossible" in " ".join(draft.notes.columns["ap_hi"])
    assert column("ap_lo").missing_codes == ("", "0")
    assert (found["cholesterol"], found["gluc"]) == (CODED, CODED)
    assert (found["smoke"], found["cardio"]) == (BOOLEAN, ("boolean", "outcome", "1", None))


@pytest.mark.parametrize("file", UCI)
def test_the_four_uci_hospitals_are_recognised(shared_data, file):
    draft = drafted(shared_data / file)
    found = guesses(draft)

    assert found["age"] == ("integer", "factor", "a", "30525-0")
    assert found["sex"] == CODED
    assert found["trestbps"] == ("integer", "factor", "mm[Hg]", "8480-6")
    assert found["thalach"] == ("integer", "factor", "/min", None)
    assert found["oldpeak"] == ("number", "factor", "mm", None)
    assert {found[name] for name in ("cp", "restecg", "slope", "thal")} == {CODED}
    assert found["num"][1] == "outcome"


@pytest.mark.parametrize(("file", "codes"), [("uci_heart_cleveland.csv", ("",)), ("uci_heart_va.csv", ("", "0"))])
def test_zero_cholesterol_means_missing_where_there_are_zeros(shared_data, file, codes):
    column = drafted(shared_data / file).steward.dictionary.column("chol")

    assert (column.unit, column.loinc, column.missing_codes) == ("mg/dL", "2093-3", codes)


def test_a_cholesterol_that_is_always_zero_is_no_cholesterol(shared_data):
    found = guesses(drafted(shared_data / "uci_heart_switzerland.csv"))

    assert found["chol"] == BOOLEAN


def test_whas500_is_recognised(shared_data):
    found = guesses(drafted(shared_data / "whas500.csv"))

    assert found["bmi"] == ("number", "factor", "kg/m2", "39156-5")
    assert (found["sysbp"][3], found["diasbp"][3], found["hr"][3]) == ("8480-6", "8462-4", "8867-4")
    assert found["gender"] == CODED
    assert found["los"] == ("integer", "factor", "d", None)
    assert found["lenfol"][:2] == ("integer", "time")
    assert found["fstat"][:2] == ("boolean", "outcome")


def test_the_124_columns_of_myocardial_infarction_complications(shared_data):
    draft = drafted(shared_data / "mi_complications_1700.csv")
    found = guesses(draft)

    assert len(found) == 124
    assert found["ID"][:2] == ("category", "id")
    assert found["AGE"] == ("integer", "factor", "a", "30525-0")
    assert found["S_AD_ORIT"] == ("integer", "factor", "mm[Hg]", "8480-6")
    assert found["D_AD_KBRIG"] == ("integer", "factor", "mm[Hg]", "8462-4")
    assert found["K_BLOOD"] == ("number", "factor", "mmol/L", "2823-3")
    assert found["Na_BLOOD"] == ("integer", "factor", "mmol/L", "2951-2")
    assert found["L_BLOOD"] == ("number", "factor", "10*9/L", "6690-2")
    assert found["ALT_BLOOD"] == ("number", "factor", "1", None)
    assert "plausible in none of U/L" in " ".join(draft.notes.columns["ALT_BLOOD"])
    assert found["lat_im"] == CODED
    assert found["LET_IS"][:2] == ("category", "outcome")
    titles = [column.title for column in draft.steward.dictionary.columns]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("file", FILES)
def test_a_reviewed_draft_reads_as_it_was_drafted(shared_data, file):
    draft = drafted(shared_data / file)
    text = draft.to_toml()

    assert parse_steward_dictionary(_reviewed(text), file="draft.toml") == draft.steward
    with pytest.raises(InputError, match="not been reviewed"):
        parse_steward_dictionary(text, file="draft.toml")


@pytest.mark.parametrize("file", FILES)
def test_every_row_passes_or_fails_for_a_reason_that_the_draft_states(shared_data, file):
    draft = drafted(shared_data / file)
    options = SourceOptions(ignore=tuple(draft.left_out))
    noted = {
        name
        for name in (column.name for column in draft.steward.dictionary.columns)
        if "impossible" in " ".join(draft.notes.columns[name])
        or "rarer codes" in draft.notes.fields.get((name, "levels"), "")
    }

    try:
        rows = sum(batch.num_rows for batch in open_rows(str(shared_data / file), draft.steward, options).batches())
    except InputError as error:
        at_fault = set(re.findall(r"column (\S+):", error.message))
        assert at_fault
        assert at_fault <= noted
    else:
        assert rows > 100


@pytest.mark.parametrize("file", FILES)
def test_no_limit_is_a_value_of_the_cohort_but_by_a_public_table(shared_data, file):
    path = shared_data / file
    draft = drafted(path)
    limits = {c.name: {c.minimum, c.maximum} - {None, 0.0} for c in draft.steward.dictionary.columns if c.unit == "1"}
    held: dict[str, set[float]] = {name: set() for name in limits}

    for batch in open_raw(str(path)).batches():
        for name, values in held.items():
            values |= {float(text) for text in batch[name] if text and limits[name]}

    assert all(not limits[name] & values for name, values in held.items())


def test_the_command_gets_the_text_of_a_draft(shared_data):
    text = describe_source(str(shared_data / "whas500.csv"))

    assert "\nreviewed = false\n" in text
    assert 'unit = "mm[Hg]"  # guess:' in text


def _reviewed(text: str) -> str:
    return text.replace("reviewed = false", "reviewed = true")
