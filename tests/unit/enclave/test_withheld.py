"""Withheld runs: which disclosure code comes out for which cohort, and that nothing else does."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from heartify.disclosure import WithheldCode
from heartify.protocol.bundle import NO_RESULT
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.plan import AnalysisSpec, FactorSpec, OutcomeSpec
from heartify.protocol.signing import recover_address

ENDING_FIELDS = {"op", "settlement", "signature", "enclave", "encryption_public_key"}


def check_only_the_code_left(run, code):
    settlement = run.settlement
    assert (settlement.kind, settlement.code) == (Outcome.WITHHELD, code)
    assert (settlement.resultDigest, run.sealed) == (NO_RESULT, b"")
    assert set(run.done) == ENDING_FIELDS
    assert recover_address(settlement.digest(run.world.domain), run.done["signature"]) == run.done["enclave"]
    assert all(body == b"" for _, body in run.frames)


@pytest.fixture
def deal_of(new_hospital, new_world, make):
    """Make a deal over cohorts given as rows."""

    def build(*cohorts, plan=None, min_grants=1, wide=False):
        hospitals = [new_hospital(f"h{i}", rows, make.dictionary(wide=wide)) for i, rows in enumerate(cohorts)]
        return new_world(hospitals, plan, min_grants=min_grants)

    return build


def complete(rows):
    """Without missing values, so that counts are exactly those that the test chose."""
    return rows | {"chol": np.where(np.isnan(rows["chol"]), 200.5, rows["chol"])}


def with_events(rows, events):
    outcome = np.zeros(len(rows["cvd"]))
    outcome[:events] = 1
    return rows | {"cvd": outcome}


def test_rule_1_fewer_than_fifty_pooled_patients(deal_of, make):
    world = deal_of(complete(make.rows(40, 24)), complete(make.rows(41, 25)))

    run = world.run()

    check_only_the_code_left(run, WithheldCode.TOO_FEW_PATIENTS)
    assert run.settlement.leftOut == 0


def test_rule_1_fifty_pooled_patients_pass(deal_of, make):
    factor = FactorSpec(name="chol", column="chol")
    world = deal_of(complete(make.rows(42, 25)), complete(make.rows(41, 25)), plan=make.plan(factor))

    assert world.run().settlement.code != WithheldCode.TOO_FEW_PATIENTS


def test_rule_1_too_few_hospitals_of_twenty_patients_for_the_request(deal_of, make):
    world = deal_of(complete(make.rows(43, 200)), complete(make.rows(44, 19)), min_grants=2)

    check_only_the_code_left(world.run(), WithheldCode.TOO_FEW_PATIENTS)


def test_rule_1_no_hospital_with_twenty_patients(deal_of, make):
    world = deal_of(*(complete(make.rows(seed, 19)) for seed in (45, 46, 47)))

    check_only_the_code_left(world.run(), WithheldCode.TOO_FEW_PATIENTS)


def test_rule_1_counts_complete_cases_and_not_rows(deal_of, make):
    rows = make.rows(48, 300)
    mostly_missing = rows | {"chol": np.where(np.arange(300) < 280, np.nan, 200.5)}

    check_only_the_code_left(deal_of(mostly_missing).run(), WithheldCode.TOO_FEW_PATIENTS)


@pytest.mark.parametrize("events", [9, 191])
def test_rule_2_fewer_than_ten_events_or_non_events(deal_of, make, events):
    world = deal_of(with_events(complete(make.rows(50, 200)), events))

    check_only_the_code_left(world.run(), WithheldCode.TOO_FEW_OUTCOMES)


def test_rule_3_too_many_parameters_for_the_patients(deal_of, make):
    plan = make.plan(*(FactorSpec(name=name, column=name) for name in make.wide_columns))
    world = deal_of(with_events(make.rows(51, 26), 13), with_events(make.rows(52, 26), 13), plan=plan, wide=True)

    check_only_the_code_left(world.run(), WithheldCode.TOO_MANY_PARAMETERS)


def test_rule_4_a_level_of_one_to_nine_patients(deal_of, make):
    rows = complete(make.rows(53, 200))
    rare = rows | {"cp": np.where(np.arange(200) < 9, 4.0, 1.0)}
    plan = make.plan(FactorSpec(name="chol", column="chol"), FactorSpec(name="rare", column="cp", equals="4"))

    check_only_the_code_left(deal_of(rare, plan=plan).run(), WithheldCode.SMALL_CELL)


def test_rule_4_a_level_by_outcome_cell_of_one_to_nine_patients(deal_of, make):
    rows = with_events(complete(make.rows(54, 200)), 100)
    # 60 patients have the level, 3 of them are events.
    level = rows | {"smoker": np.isin(np.arange(200), [*range(3), *range(100, 157)]).astype(float)}
    plan = make.plan(FactorSpec(name="chol", column="chol"), FactorSpec(name="smoker", column="smoker"))

    check_only_the_code_left(deal_of(level, plan=plan).run(), WithheldCode.SMALL_CELL)


def test_separated_outcome_is_withheld_and_names_no_factor(deal_of, make):
    rows = complete(make.rows(55, 200))
    separated = rows | {"cvd": (rows["chol"] > np.median(rows["chol"])).astype(float)}
    plan = make.plan(FactorSpec(name="chol", column="chol"), FactorSpec(name="age", column="age"))
    plan = msgspec.structs.replace(plan, analysis=AnalysisSpec(estimation="maximum-likelihood"))

    check_only_the_code_left(deal_of(separated, plan=plan).run(), WithheldCode.NOT_ESTIMABLE)


def test_separated_outcome_gets_firths_estimates_where_the_plan_leaves_the_choice(deal_of, make):
    rows = complete(make.rows(55, 200))
    separated = rows | {"cvd": (rows["chol"] > np.median(rows["chol"])).astype(float)}
    plan = make.plan(FactorSpec(name="chol", column="chol"), FactorSpec(name="age", column="age"))

    result = deal_of(separated, plan=plan).run().open_result()

    assert result.estimation == "firth"
    assert 0 < result.weights[0].beta < 10


def test_collinear_factors_are_withheld(deal_of, make):
    plan = make.plan(FactorSpec(name="chol", column="chol"), FactorSpec(name="again", column="chol"))

    check_only_the_code_left(deal_of(make.rows(56, 200), plan=plan).run(), WithheldCode.NOT_ESTIMABLE)


def test_withheld_run_leaves_hospitals_without_keys_out_of_the_settlement(deal_of, make):
    few = [with_events(complete(make.rows(seed, 100)), 2) for seed in (57, 58)]

    def refuse_first(host, header, honest):
        return ({"op": "challenge", "ok": False}, b"") if header["grant"] == 0 else honest()

    run = deal_of(*few).run({"challenge": refuse_first})

    check_only_the_code_left(run, WithheldCode.TOO_FEW_OUTCOMES)
    assert run.settlement.leftOut == 0b01


def test_numeric_outcome_above_a_limit_is_judged_like_any_other(deal_of, make):
    rows = complete(make.rows(59, 200))
    highest = float(np.sort(rows["age"])[-1])
    plan = make.plan(FactorSpec(name="chol", column="chol"), outcome=OutcomeSpec(column="age", above=highest))

    check_only_the_code_left(deal_of(rows, plan=plan).run(), WithheldCode.TOO_FEW_OUTCOMES)


def test_unknown_size_class_is_an_internal_failure_and_not_a_withholding(new_world, hospitals):
    run = new_world(hospitals, sizeClass=9).run()

    assert (run.settlement.kind, run.settlement.code) == (Outcome.FAILED, FailureCode.INTERNAL)
