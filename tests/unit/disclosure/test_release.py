"""What goes out of a fit: rules 7 to 10 on a hand-written fit, and on the four UCI hospitals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from heartify.disclosure import WithheldCode, WithheldError, build_cohort_facts, release_fit
from heartify.stats import fit_pooled_logistic

UCI_TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


def test_everything_of_a_weight_follows_from_rounded_beta_se_and_sd(exact_fit, make_facts):
    document = release_fit(exact_fit, make_facts()).to_dict()

    assert document["weights"][0] == {
        "factor": "age",
        "beta": 0.0247,
        "se": 0.013,
        "ci_low": -0.0008,
        "ci_high": 0.0502,
        "z": 1.9,
        "p": "0.057",
        "ratio": 1.025,
        "ratio_ci_low": 0.9992,
        "ratio_ci_high": 1.0515,
        "sd": 9.38,
        "beta_per_sd": 0.232,
        "se_per_sd": 0.122,
        "ratio_per_sd": 1.261,
    }


def test_counts_are_rounded_and_totals_are_sums_of_the_rounded(exact_fit, make_facts):
    document = release_fit(exact_fit, make_facts(), ["tiny"]).to_dict()

    assert [(row["n"], row["events"]) for row in document["hospitals"]] == [(105, 40), (100, 50), (None, None)]
    assert (document["n"], document["events"], document["events_n"]) == (205, 90, 205)
    assert document["auc"] == 0.91
    assert document["intercept"] == {"hospital": "north", "beta": -2.76, "se": 1.2}


def test_a_left_out_hospital_shows_its_name_and_nothing_else(exact_fit, make_facts):
    document = release_fit(exact_fit, make_facts(), ["tiny"]).to_dict()

    assert document["hospitals"][2] == {
        "name": "tiny",
        "n": None,
        "events": None,
        "intercept": None,
        "intercept_se": None,
        "status": "left_out",
        "reason": "too_few_patients",
    }


@pytest.mark.parametrize("events", [9, 94])
def test_a_hospital_with_under_10_events_or_non_events_hides_them_and_its_intercept(make_fit, make_facts, events):
    facts = make_facts(((103, events), (100, 50)))

    document = release_fit(make_fit(events=events + 50), facts).to_dict()

    hidden = document["hospitals"][0]
    assert (hidden["n"], hidden["events"], hidden["intercept"], hidden["intercept_se"]) == (105, None, None, None)
    assert hidden["reason"] == "outcomes_suppressed"
    assert document["intercept"] is None
    assert (document["n"], document["events"], document["events_n"]) == (205, 50, 100)
    assert 2 in document["notes"]


def test_when_every_hospital_hides_its_events_there_is_no_total(make_fit, make_facts):
    document = release_fit(make_fit(events=18), make_facts(((103, 9), (100, 9)))).to_dict()

    assert (document["events"], document["events_n"]) == (None, None)
    assert document["notes"] == [1, 2]


def test_a_cohort_that_fails_a_rule_is_withheld_whatever_the_fit(exact_fit, make_facts):
    with pytest.raises(WithheldError) as caught:
        release_fit(exact_fit, make_facts(flag=((198, 88), (5, 3))))

    assert caught.value.code is WithheldCode.SMALL_CELL


@pytest.mark.parametrize(
    "change",
    [
        {"term_coef": np.array([np.nan, 1.0])},
        {"term_se": np.array([0.0, 1.0])},
        {"auc": float("nan")},
        {"term_coef": np.array([1.0])},
    ],
)
def test_a_number_that_is_no_estimate_is_withheld(exact_fit, make_facts, change):
    with pytest.raises(WithheldError) as caught:
        release_fit(replace(exact_fit, **change), make_facts())

    assert caught.value.code is WithheldCode.NOT_ESTIMABLE


@pytest.mark.parametrize("change", [{"term_names": ("sex", "age")}, {"n": 204}, {"events": 90}])
def test_a_fit_of_another_cohort_is_withheld(exact_fit, make_facts, change):
    with pytest.raises(WithheldError) as caught:
        release_fit(replace(exact_fit, **change), make_facts())

    assert caught.value.code is WithheldCode.OUTPUT_SCHEMA


def test_intercepts_of_other_hospitals_are_withheld(exact_fit, make_facts):
    others = tuple(replace(item, hospital=f"{item.hospital}-b") for item in exact_fit.hospital_intercepts)

    with pytest.raises(WithheldError) as caught:
        release_fit(replace(exact_fit, hospital_intercepts=others), make_facts())

    assert caught.value.code is WithheldCode.OUTPUT_SCHEMA


def test_a_cox_model_has_a_concordance_and_no_intercepts(exact_fit, make_facts):
    cox = replace(exact_fit, hospital_intercepts=(), auc=None)

    document = release_fit(cox, make_facts(), concordance=0.7849).to_dict()

    assert (document["auc"], document["concordance"], document["intercept"]) == (None, 0.78, None)
    assert all(row["intercept"] is None and row["events"] is not None for row in document["hospitals"])


@pytest.mark.parametrize("index", [None, 1.2])
def test_a_model_without_any_index_of_discrimination_is_withheld(exact_fit, make_facts, index):
    with pytest.raises(WithheldError):
        release_fit(replace(exact_fit, auc=None), make_facts(), concordance=index)


@pytest.mark.parametrize("left_out", [["north"], ["tiny", "tiny"]])
def test_a_hospital_that_is_both_in_and_out_is_withheld(exact_fit, make_facts, left_out):
    with pytest.raises(WithheldError):
        release_fit(exact_fit, make_facts(), left_out)


def test_equal_questions_get_equal_answers(exact_fit, make_facts):
    answers = {json.dumps(release_fit(exact_fit, make_facts()).to_dict()) for _ in range(3)}

    assert len(answers) == 1


def test_released_uci_weights_are_the_true_ones_within_half_the_grid(uci_blocks, truth):
    expected = truth["uci4"]["fixed_effects"]
    fit = fit_pooled_logistic(uci_blocks, UCI_TERMS)

    document = release_fit(fit, build_cohort_facts(uci_blocks, UCI_TERMS)).to_dict()

    for weight in document["weights"]:
        assert abs(weight["beta"] - expected["coef"][weight["factor"]]) <= 0.05 * weight["se"] + 1e-12
        assert weight["se"] == float(f"{expected['se'][weight['factor']]:.1e}")
    assert [row["events"] for row in document["hospitals"]] == [140, 105, None, 115]
    assert document["auc"] == 0.91


def test_the_order_of_hospitals_does_not_change_what_is_shown_of_them(uci_blocks):
    documents = []
    for blocks in (uci_blocks, uci_blocks[::-1]):
        fit = fit_pooled_logistic(blocks, UCI_TERMS)
        documents.append(release_fit(fit, build_cohort_facts(blocks, UCI_TERMS)).to_dict())

    assert documents[0]["weights"] == documents[1]["weights"]
    assert documents[0]["hospitals"] == documents[1]["hospitals"][::-1]
