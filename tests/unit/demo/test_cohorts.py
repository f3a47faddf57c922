"""The demo's input is checked as publishing will check it, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartify.cohort.generated import TRUE_WEIGHTS, store_demo_data
from heartify.demo.cohorts import generate_into, load_cohorts
from heartify.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store_demo_data(tmp_path, patients_per_hospital=60)
    return tmp_path


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_generated_cohorts_carry_their_true_weights(tmp_path: Path) -> None:
    cohorts = generate_into(tmp_path)

    assert cohorts.true_weights == TRUE_WEIGHTS
    assert len(cohorts.csv_files) == 4


def test_own_cohorts_have_no_true_weights(folder: Path) -> None:
    assert load_cohorts(folder).true_weights is None


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        load_cohorts(tmp_path / "absent")


def test_a_folder_without_csv_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 CSV files"):
        load_cohorts(tmp_path)


def test_a_csv_without_a_column_of_the_dictionary_is_refused(folder: Path) -> None:
    replace_in(folder / "elm.csv", "systolic", "pressure")

    with pytest.raises(InputError, match="systolic"):
        load_cohorts(folder)


def test_a_unit_that_does_not_fit_the_values_is_refused(folder: Path) -> None:
    replace_in(folder / "dictionary.toml", 'unit = "mmol/L"', 'unit = "mg/dL"')

    with pytest.raises(InputError, match="finding"):
        load_cohorts(folder)


def test_a_plan_with_an_unknown_column_is_refused(folder: Path) -> None:
    replace_in(folder / "plan.toml", 'column = "age"', 'column = "agee"')

    with pytest.raises(InputError, match="agee"):
        load_cohorts(folder)


def test_a_plan_that_is_no_toml_is_refused(folder: Path) -> None:
    (folder / "plan.toml").write_text("title = ")

    with pytest.raises(InputError, match=r"plan\.toml is not TOML"):
        load_cohorts(folder)


def test_an_acceptance_for_a_hospital_that_is_not_there_is_refused(folder: Path) -> None:
    (folder / "accepted-findings.toml").write_text('[oak]\n"full-date:visit" = "a reason that is long enough"\n')

    with pytest.raises(InputError, match="one table for each hospital"):
        load_cohorts(folder)


def test_an_acceptance_that_meets_no_finding_is_refused(folder: Path) -> None:
    (folder / "accepted-findings.toml").write_text('[elm]\n"full-date:visit" = "a reason that is long enough"\n')

    with pytest.raises(InputError, match="full-date:visit"):
        load_cohorts(folder)
