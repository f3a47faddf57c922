from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from heartify.cohort.dictionary_toml import load_dictionary_toml, parse_dictionary_toml
from heartify.cohort.generated import generate_cohorts, store_demo_data
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.sources.csv_source import load_csv, parse_csv
from heartify.errors import InputError, UsageError
from heartify.protocol.plan import parse_plan_toml
from heartify.protocol.plan_check import check_plan_fits


def test_the_same_seed_gives_the_same_texts_and_another_seed_others() -> None:
    first, again, other = (generate_cohorts(seed=seed, patients_per_hospital=50) for seed in (1, 1, 2))

    assert first == again
    assert first.csv_texts != other.csv_texts


def test_the_demo_folder_is_valid_input_without_findings(tmp_path: Path) -> None:
    store_demo_data(tmp_path / "data", patients_per_hospital=400)

    dictionary = load_dictionary_toml(tmp_path / "data" / "dictionary.toml")
    plan = parse_plan_toml((tmp_path / "data" / "plan.toml").read_text(encoding="utf-8"))
    check_plan_fits(plan, dictionary)
    csv_files = sorted((tmp_path / "data").glob("*.csv"))
    assert [path.stem for path in csv_files] == ["aspen", "birch", "cedar", "elm"]
    for path in csv_files:
        table = load_csv(path, dictionary)
        assert table.num_rows == 400
        assert lint_cohort(table, dictionary) == ()


def test_hospitals_differ_in_prevalence_and_have_a_few_per_cent_missing() -> None:
    cohorts = generate_cohorts()
    dictionary = parse_dictionary_toml(cohorts.dictionary_toml, file="d")
    tables = [parse_csv(text.encode(), dictionary, file="c") for text in cohorts.csv_texts.values()]

    prevalences = [np.mean([code == "1" for code in table.column("cvd").to_pylist()]) for table in tables]
    missing = [table.column(name).null_count / table.num_rows for table in tables for name in ("hba1c", "cholesterol")]

    assert max(prevalences) - min(prevalences) > 0.3
    assert all(0.15 < prevalence < 0.8 for prevalence in prevalences)
    assert all(0.02 < share < 0.08 for share in missing)


def test_an_independent_fit_finds_the_true_weights() -> None:
    """statsmodels on the plan's coding: every estimate within 4 standard errors of the truth."""
    cohorts = generate_cohorts(seed=11, patients_per_hospital=5000)
    dictionary = parse_dictionary_toml(cohorts.dictionary_toml, file="d")
    plan = parse_plan_toml(cohorts.plan_toml)
    blocks, events, hospitals = [], [], []
    for index, text in enumerate(cohorts.csv_texts.values()):
        table = parse_csv(text.encode(), dictionary, file="c").to_pydict()
        blocks.append(np.column_stack([_coded(table[f.column], f.equals) for f in plan.factors]))
        events.append(_coded(table["cvd"], "1"))
        hospitals += [index] * len(events[-1])
    factors, event = np.vstack(blocks), np.concatenate(events)
    design = np.hstack([factors, np.eye(4)[hospitals]])
    complete = ~np.isnan(factors).any(axis=1)

    fit = sm.Logit(event[complete], design[complete]).fit(disp=0)

    truth = [*(cohorts.true_weights[f.name] for f in plan.factors), *cohorts.true_intercepts.values()]
    assert np.all(np.abs(fit.params - truth) < 4 * fit.bse)
    assert np.all(fit.bse < 0.6)


def _coded(values: list[object], equals: str | None) -> np.ndarray:
    return np.array([np.nan if v is None else float(v == equals) if equals else float(str(v)) for v in values])


def test_a_cohort_without_patients_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one patient"):
        generate_cohorts(patients_per_hospital=0)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(InputError, match="cannot write"):
        store_demo_data(tmp_path / "file" / "data", patients_per_hospital=5)
