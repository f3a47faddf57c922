from __future__ import annotations

import pytest

from heartify.cli.study_tables import weights_table
from heartify.protocol.result import StudyResult, Weight

WEIGHT = Weight(
    term="age", factor="age", unit="a", beta=0.05, se=0.01, ci_low=0.03, ci_high=0.07, z=5.0, p="<0.001", ratio=1.05,
    ratio_ci_low=1.03, ratio_ci_high=1.07, sd=10.0, beta_per_sd=0.5, se_per_sd=0.1, ratio_per_sd=1.65,
)  # fmt: skip


def build_result(**fields):
    return StudyResult(
        deal="0x" + "01" * 32, plan_digest="0x" + "02" * 32, simulated=False, outcome="cvd = 1", n=200, events=100,
        events_n=200, weights=(WEIGHT,), hospitals=(), disclosure_profile="sdc-1", disclosure=(), notes=(), **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "ratio", "measure"),
    [
        ({"model": "logistic", "auc": 0.78}, "odds ratio (95 % CI)", "AUC 0.78"),
        ({"model": "cox", "concordance": 0.71}, "hazard ratio (95 % CI)", "C 0.71"),
    ],
    ids=["logistic", "cox"],
)
def test_the_terminal_names_the_ratio_and_the_measure_of_the_model(fields, ratio, measure):
    shown = weights_table(build_result(**fields))

    assert ratio in [column.header for column in shown.columns]
    assert measure in str(shown.title)
