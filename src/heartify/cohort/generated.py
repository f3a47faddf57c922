"""The demo's cohort: four generated hospitals whose true weights are known. No patient exists behind it.

Factors are physiological and correlated (age drives pressure, cholesterol and HbA1c), hospitals differ in case mix and
prevalence, a few per cent of the values are missing completely at random, and the outcome follows the logistic model
exactly as TRUE_WEIGHTS states, on the values as written. It says `generated` wherever a reader could take it for real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heartify.errors import InputError, UsageError

TRUE_WEIGHTS: Mapping[str, float] = {
    "age": 0.055,  # log odds for each year
    "male": 0.60,
    "systolic": 0.018,  # for each mm[Hg]
    "cholesterol": 0.28,  # for each mmol/L
    "hba1c": 0.22,  # for each %
    "former_smoker": 0.25,
    "current_smoker": 0.75,
    "heart_rate": 0.012,  # for each /min
    "bmi": 0.03,  # for each kg/m2
}
"""Log odds for each unit of each factor of the demo's plan, in the plan's order."""


@dataclass(frozen=True, slots=True)
class CaseMix:
    """How one hospital's patients differ: mean age (a), shares, shift of pressure (mm[Hg]), intercept (log odds)."""

    mean_age: float
    male_share: float
    pressure_shift: float
    current_smoker_share: float
    intercept: float


CASE_MIXES: Mapping[str, CaseMix] = {
    "aspen": CaseMix(54, 0.52, 0.0, 0.22, -10.6),
    "birch": CaseMix(61, 0.60, 6.0, 0.18, -11.2),
    "cedar": CaseMix(66, 0.68, 3.0, 0.27, -10.3),
    "elm": CaseMix(49, 0.46, -4.0, 0.31, -11.0),
}
"""The four generated hospitals; the intercept is the log odds when every factor is 0."""

_HEADER = "age,sex,systolic,cholesterol,hba1c,smoking,heart_rate,bmi,cvd"
_MISSING_SHARE = {
    "systolic": 0.02,
    "cholesterol": 0.04,
    "hba1c": 0.05,
    "smoking": 0.03,
    "heart_rate": 0.02,
    "bmi": 0.03,
}


@dataclass(frozen=True, slots=True)
class GeneratedCohorts:
    """Texts of the demo's input files, and the truth behind them."""

    csv_texts: Mapping[str, str]
    dictionary_toml: str
    plan_toml: str
    true_weights: Mapping[str, float]
    true_intercepts: Mapping[str, float]


def generate_cohorts(*, seed: int = 20261122, patients_per_hospital: int = 1500) -> GeneratedCohorts:
    """Generate four hospitals' cohorts; the same arguments give the same texts.

    Raises UsageError when the number of patients is not positive.
    """
    if patients_per_hospital < 1:
        raise UsageError("a generated cohort needs at least one patient for each hospital")
    children = np.random.SeedSequence(seed).spawn(len(CASE_MIXES))
    csv_texts = {
        hospital: _generate_csv(mix, np.random.default_rng(child), patients_per_hospital)
        for (hospital, mix), child in zip(CASE_MIXES.items(), children, strict=True)
    }
    return GeneratedCohorts(
        csv_texts=csv_texts,
        dictionary_toml=DICTIONARY_TOML,
        plan_toml=PLAN_TOML,
        true_weights=dict(TRUE_WEIGHTS),
        true_intercepts={hospital: mix.intercept for hospital, mix in CASE_MIXES.items()},
    )


def store_demo_data(directory: Path, *, seed: int = 20261122, patients_per_hospital: int = 1500) -> GeneratedCohorts:
    """Write the generated cohorts as a demo data folder: <hospital>.csv, dictionary.toml, plan.toml.

    Raises InputError when the folder cannot be written.
    """
    cohorts = generate_cohorts(seed=seed, patients_per_hospital=patients_per_hospital)
    texts = {f"{hospital}.csv": text for hospital, text in cohorts.csv_texts.items()}
    texts |= {"dictionary.toml": cohorts.dictionary_toml, "plan.toml": cohorts.plan_toml}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"cannot write the generated cohorts to '{directory}': {exc.strerror}") from exc
    return cohorts


def _generate_csv(mix: CaseMix, rng: np.random.Generator, patients: int) -> str:
    factors = _draw_factors(mix, rng, patients)
    log_odds = mix.intercept + _linear_predictor(factors)
    events = rng.random(patients) < 1 / (1 + np.exp(-log_odds))
    shown = {name: np.char.mod("%g", values) for name, values in factors.items()}
    for name, share in _MISSING_SHARE.items():
        shown[name] = np.where(rng.random(patients) < share, "", shown[name])
    rows = zip(*(shown[name] for name in _HEADER.split(",")[:-1]), events.astype(int).astype(str), strict=True)
    return _HEADER + "\n" + "".join(",".join(row) + "\n" for row in rows)


def _draw_factors(mix: CaseMix, rng: np.random.Generator, patients: int) -> dict[str, npt.NDArray[np.float64]]:
    """Draw factors rounded as a hospital records them, so that the model holds for the written values exactly."""

    def normal(
        mean: npt.NDArray[np.float64] | float, deviation: float, digits: int, low: float, high: float
    ) -> npt.NDArray[np.float64]:
        return np.clip(np.round(rng.normal(mean, deviation, patients), digits), low, high)

    age = normal(mix.mean_age, 10.5, 0, 30, 89)
    male = (rng.random(patients) < mix.male_share).astype(np.float64)
    smoking = rng.choice(3, patients, p=[0.7 - mix.current_smoker_share, 0.3, mix.current_smoker_share]).astype(
        np.float64
    )
    bmi = normal(26.8 + 0.4 * male, 4.2, 1, 15, 55)
    older = age - 55
    return {
        "age": age,
        "sex": male,
        "systolic": normal(128 + mix.pressure_shift + 0.55 * older + 0.6 * (bmi - 27), 15, 0, 80, 230),
        "cholesterol": normal(5.4 + 0.01 * older - 0.1 * male, 1.0, 1, 2, 12),
        "hba1c": normal(5.6 + 0.012 * older + 0.03 * (bmi - 27), 0.7, 1, 3.5, 14),
        "smoking": smoking,
        "heart_rate": normal(71 + 2.5 * (smoking == 2) + 0.2 * (bmi - 27), 10, 0, 40, 140),
        "bmi": bmi,
    }


def _linear_predictor(factors: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    coded = {
        **factors,
        "male": factors["sex"],
        "former_smoker": (factors["smoking"] == 1).astype(np.float64),
        "current_smoker": (factors["smoking"] == 2).astype(np.float64),
    }
    return np.asarray(sum(weight * coded[name] for name, weight in TRUE_WEIGHTS.items()), dtype=np.float64)


DICTIONARY_TOML = """\
title = "Generated cardiovascular cohort"
description = "Generated for demonstration: no patient exists behind it. The true weights are known."

[[columns]]
name = "age"
title = "Age at baseline"
datatype = "integer"
role = "factor"
unit = "a"
minimum = 18
maximum = 89
loinc = "30525-0"

[[columns]]
name = "sex"
title = "Sex"
datatype = "category"
role = "factor"
levels = [{ code = "0", label = "female" }, { code = "1", label = "male" }]

[[columns]]
name = "systolic"
title = "Systolic blood pressure"
datatype = "integer"
role = "factor"
unit = "mm[Hg]"
minimum = 50
maximum = 300
loinc = "8480-6"

[[columns]]
name = "cholesterol"
title = "Total cholesterol in serum"
datatype = "number"
role = "factor"
unit = "mmol/L"
minimum = 1
maximum = 30
loinc = "14647-2"

[[columns]]
name = "hba1c"
title = "Glycated haemoglobin (NGSP)"
datatype = "number"
role = "factor"
unit = "%"
minimum = 2
maximum = 25
loinc = "4548-4"

[[columns]]
name = "smoking"
title = "Smoking status"
datatype = "category"
role = "factor"
loinc = "72166-2"
levels = [{ code = "0", label = "never" }, { code = "1", label = "former" }, { code = "2", label = "current" }]

[[columns]]
name = "heart_rate"
title = "Resting heart rate"
datatype = "integer"
role = "factor"
unit = "/min"
minimum = 20
maximum = 250
loinc = "8867-4"

[[columns]]
name = "bmi"
title = "Body-mass index"
datatype = "number"
role = "factor"
unit = "kg/m2"
minimum = 10
maximum = 80
loinc = "39156-5"

[[columns]]
name = "cvd"
title = "Cardiovascular disease diagnosed"
datatype = "category"
role = "outcome"
levels = [{ code = "0", label = "no" }, { code = "1", label = "yes" }]
"""

PLAN_TOML = """\
title = "Which physiological parameters carry weight in cardiovascular disease?"
purpose = "health-research"
outcome = { column = "cvd", equals = "1" }

[[factors]]
name = "age"
column = "age"

[[factors]]
name = "male"
column = "sex"
equals = "1"

[[factors]]
name = "systolic"
column = "systolic"

[[factors]]
name = "cholesterol"
column = "cholesterol"

[[factors]]
name = "hba1c"
column = "hba1c"

[[factors]]
name = "former_smoker"
column = "smoking"
equals = "1"

[[factors]]
name = "current_smoker"
column = "smoking"
equals = "2"

[[factors]]
name = "heart_rate"
column = "heart_rate"

[[factors]]
name = "bmi"
column = "bmi"

[describe]

[performance]
optimism = 50

[weights]
bootstrap = 100

[heterogeneity]
"""
