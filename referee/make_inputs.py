"""Make the generated cohort that R and the kernel are both run on: seeded, ours, and small enough to commit.

Run from the project's root: python referee/make_inputs.py. The file's digest is pinned by
tests/vectors/test_statistics_inputs.py, so that no expected value can drift away from its data.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

ROWS = 1200
SEED = 20261122
INPUTS = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "statistics" / "inputs"


def make_cohort() -> list[dict[str, object]]:
    """Four hospitals; y for logistic models; entry < time with ties in whole days and status 0, 1 or 2 for survival."""
    rng = np.random.default_rng(SEED)
    hospital = rng.choice(["a", "b", "c", "d"], size=ROWS, p=[0.4, 0.3, 0.2, 0.1])
    shift = {"a": 0.0, "b": 0.4, "c": -0.5, "d": 0.8}
    male = rng.integers(0, 2, ROWS)
    age = np.round(rng.normal(58 + 2 * male, 10, ROWS).clip(30, 88), 1)
    sbp = np.round(rng.normal(120 + 0.5 * (age - 58), 17, ROWS).clip(80, 230))
    chol = np.round(rng.normal(5.4, 1.1, ROWS).clip(2.2, 11.0), 2)
    smoker = (rng.random(ROWS) < 0.25).astype(int)
    grade = rng.choice([1, 2, 3], size=ROWS, p=[0.5, 0.3, 0.2])
    noise = np.round(rng.normal(size=ROWS), 3)
    base = np.array([shift[name] for name in hospital])
    eta = (
        -0.6 + base + 0.045 * (age - 60) + 0.35 * male + 0.018 * (sbp - 125) + 0.25 * (chol - 5.4)
        + 0.5 * smoker + 0.4 * (grade == 2) + 0.8 * (grade == 3) + 0.0009 * (sbp - 125) ** 2
    )  # fmt: skip
    y = (rng.random(ROWS) < 1 / (1 + np.exp(-eta))).astype(int)
    hazard = np.exp(0.6 * eta - 7.6)
    rival = np.exp(0.06 * (age - 60) - 8.4)
    death, other = rng.exponential(1 / hazard), rng.exponential(1 / rival)
    censored = rng.uniform(200, 3000, ROWS)
    entry = np.where(rng.random(ROWS) < 0.3, rng.integers(0, 120, ROWS), 0)
    first = np.minimum(np.minimum(death, other), censored)
    status = np.where(first == censored, 0, np.where(first == death, 1, 2))
    time = np.maximum(np.ceil(first / 7) * 7, entry + 1)  # in whole weeks: ties
    return [
        {
            "hospital": hospital[i], "age": age[i], "male": male[i], "sbp": sbp[i], "chol": chol[i],
            "smoker": smoker[i], "grade": grade[i], "noise": noise[i], "y": y[i], "entry": int(entry[i]),
            "time": int(time[i]), "status": status[i],
        }
        for i in range(ROWS)
    ]  # fmt: skip


def main() -> None:
    rows = make_cohort()
    INPUTS.mkdir(parents=True, exist_ok=True)
    with (INPUTS / "cohort.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
