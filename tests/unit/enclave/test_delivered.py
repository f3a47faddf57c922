"""Delivered runs: the signed settlement, the sealed result, and who is left out of both."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import statsmodels.api as sm

from heartify.enclave.cases import build_cases
from heartify.enclave.study import run_study
from heartify.errors import IntegrityError
from heartify.protocol.bundle import NO_RESULT
from heartify.protocol.canonical import sha256_digest, to_bytes
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.result import result_info
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import recover_address


def as_read(hospital):
    """The generated values in the cohort reader's form: categories as indices of the hospital's own levels."""
    read = dict(hospital.rows)
    for column in hospital.dictionary.columns:
        if column.datatype == "category":
            codes = [float(code) for code in column.level_codes]
            read[column.name] = np.array([codes.index(value) for value in hospital.rows[column.name]], np.int32)
    return read


def cases_of(hospital):
    """Complete cases straight from the generated values, without anything that the enclave does."""
    rows = hospital.rows
    X = np.column_stack([rows["age"], rows["sex"] == 1, rows["chol"], rows["smoker"], rows["cp"] == 4]).astype(float)
    complete = ~np.isnan(X).any(axis=1)
    return X[complete], rows["cvd"][complete]


def referee_fit(hospitals):
    blocks = [cases_of(hospital) for hospital in hospitals]
    intercepts = np.repeat(np.eye(len(blocks)), [len(y) for _, y in blocks], axis=0)
    X = np.hstack([np.vstack([X for X, _ in blocks]), intercepts])
    return sm.Logit(np.concatenate([y for _, y in blocks]), X).fit(disp=0, method="newton", tol=1e-12)


def refuse(host, header, honest):
    return {"op": header["op"], "ok": False}, b""


def refuse_grants(*grants):
    def lie(host, header, honest):
        return refuse(host, header, honest) if header["grant"] in grants else honest()

    return lie


def test_settlement_is_delivered_and_signed_by_the_enclave_named_in_the_ending(world, delivered):
    settlement = delivered.settlement

    signer = recover_address(settlement.digest(world.domain), delivered.done["signature"])

    assert signer == delivered.done["enclave"]
    assert settlement.kind is Outcome.DELIVERED
    assert (settlement.deal, settlement.code, settlement.leftOut) == (world.deal_id, 0, 0)
    assert settlement.resultDigest == sha256_digest(delivered.sealed)
    assert delivered.error is None


def test_brokers_were_shown_the_enclave_and_key_that_the_ending_names(world, delivered):
    shown = {(r["request"]["enclave"], r["request"]["encryption_public_key"]) for r in delivered.asked("release")}

    assert shown == {(delivered.done["enclave"], delivered.done["encryption_public_key"])}
    assert len(delivered.asked("release")) == len(world.hospitals)


def test_opened_result_is_the_rounding_that_run_study_gives_on_the_plain_values(world, delivered):
    cases = [
        build_cases(
            world.plan,
            hospital.dictionary,
            as_read(hospital),
            {},
            index=i,
            name=hospital.policy.hospital,
            version=hospital.version.version_id,
        )
        for i, hospital in enumerate(world.hospitals)
    ]

    expected = run_study(world.job(), cases, {}).result

    assert delivered.open_result() == expected


def test_opened_weights_are_those_of_an_independent_fit_within_the_disclosure_grid(world, delivered):
    referee = referee_fit(world.hospitals)

    result = delivered.open_result()

    assert [weight.factor for weight in result.weights] == [factor.name for factor in world.plan.factors]
    for weight, beta, se in zip(result.weights, referee.params, referee.bse, strict=False):
        assert weight.beta == pytest.approx(beta, abs=0.1 * se)
        assert weight.se == pytest.approx(se, rel=0.05)


def test_result_says_that_it_is_simulated_and_of_which_deal_and_plan(world, delivered):
    result = delivered.open_result()

    assert result.simulated is True
    assert (result.deal, result.plan_digest) == (world.deal_id, world.plan.digest())
    assert {rule.verdict for rule in result.disclosure} == {"pass"}
    assert [weight.unit for weight in result.weights] == ["a", "1", "mg/dL", "1", "1"]


def test_result_opens_with_the_labs_key_for_this_deal_alone(world, delivered):
    other_key = SealingKey.from_seed(bytes(32))

    with pytest.raises(IntegrityError):
        other_key.open(delivered.sealed, result_info(world.deal_id))
    with pytest.raises(IntegrityError):
        world.lab_key.open(delivered.sealed, result_info("0x" + "00" * 32))


def test_two_runs_on_the_same_deal_give_the_same_document_under_other_keys(world, delivered):
    again = world.run()

    assert again.open_result() == delivered.open_result()
    assert again.sealed != delivered.sealed
    assert again.done["enclave"] != delivered.done["enclave"]


def test_another_deal_on_the_same_data_gives_the_same_document_but_for_the_deal(new_world, hospitals, delivered):
    other = new_world(hospitals, min_grants=2)

    result = other.run().open_result()

    assert result.deal == other.deal_id
    assert msgspec.structs.replace(result, deal=delivered.open_result().deal) == delivered.open_result()


def test_hospital_under_twenty_complete_cases_is_left_out_by_name_and_without_counts(
    new_hospital, new_world, hospitals, make
):
    tiny = new_hospital("dwarf", make.rows(9, 19), make.dictionary())
    world = new_world((*hospitals[:2], tiny))

    run = world.run()

    row = run.open_result().hospitals[2]
    assert (row.name, row.status, row.reason, row.n, row.events) == (
        "dwarf",
        "left_out",
        "too_few_patients",
        None,
        None,
    )
    assert run.settlement.leftOut == 0b100
    assert run.settlement.kind is Outcome.DELIVERED


def test_left_out_hospital_does_not_change_the_weights(new_hospital, new_world, hospitals, make):
    tiny = new_hospital("dwarf", make.rows(9, 19), make.dictionary())

    with_tiny = new_world((*hospitals, tiny)).run().open_result()
    without = new_world(hospitals).run().open_result()

    assert with_tiny.weights == without.weights


@pytest.mark.parametrize("operation", ["challenge", "release"])
def test_hospital_whose_broker_refuses_is_left_out_and_the_others_are_settled(world, operation):
    run = world.run({operation: refuse_grants(1)})

    result = run.open_result()
    assert [(row.status, row.reason) for row in result.hospitals] == [
        ("contributed", None),
        ("left_out", "no_keys"),
        ("contributed", None),
    ]
    assert run.settlement.leftOut == 0b010
    assert {header["grant"] for header in run.asked("file")} == {0, 2}
    kept = [world.hospitals[0], world.hospitals[2]]
    assert result.weights[0].beta == pytest.approx(referee_fit(kept).params[0], abs=0.1 * referee_fit(kept).bse[0])


def test_real_refusal_of_a_broker_leaves_its_hospital_out(new_hospital, new_world, hospitals, make):
    unwilling = new_hospital("elm", make.rows(4, 100), make.dictionary())
    unwilling.broker_store.revoke_version(unwilling.version.version_id)

    run = new_world((*hospitals, unwilling)).run()

    assert run.settlement.leftOut == 0b1000
    assert run.open_result().hospitals[3].reason == "no_keys"


def test_fewer_keys_than_the_request_wants_is_keys_unavailable_and_no_file_is_asked_for(strict_world):
    run = strict_world.run({"challenge": refuse_grants(2)})

    settlement = run.settlement
    assert (settlement.kind, settlement.code) == (Outcome.FAILED, FailureCode.KEYS_UNAVAILABLE)
    assert (settlement.leftOut, settlement.resultDigest, run.sealed) == (0b100, NO_RESULT, b"")
    assert run.asked("file") == []


def test_no_quote_is_no_keys(world):
    run = world.run({"quote": refuse})

    assert (run.settlement.kind, run.settlement.code) == (Outcome.FAILED, FailureCode.KEYS_UNAVAILABLE)
    assert run.settlement.leftOut == 0b111
    assert run.asked("release") == []


def test_enclave_reads_the_columns_of_the_plan_and_no_others(world, delivered):
    asked = {(header["grant"], header["file"]) for header in delivered.asked("file")}

    expected = {
        (i, entry.object_name)
        for i, hospital in enumerate(world.hospitals)
        for column in world.plan.columns()
        for entry in hospital.version.manifest.files_of(column)
    }
    assert asked == expected


def test_each_hospital_gets_evidence_of_its_own(delivered):
    quoted = [header["report_data"] for header in delivered.asked("quote")]

    assert len(set(quoted)) == len(quoted) == 3
    assert {len(to_bytes(data)) for data in quoted} == {64}


def test_hospitals_of_one_name_have_rows_of_their_own(new_hospital, new_world, make):
    """Two share a name, and a third is called what the first would be renamed to."""
    names = ("aspen", "aspen", "aspen-1")
    same = [new_hospital(name, make.rows(seed, 100), make.dictionary()) for seed, name in enumerate(names, 20)]

    run = new_world(same).run()

    assert run.settlement.kind is Outcome.DELIVERED
    rows = run.open_result().hospitals
    assert len({row.name for row in rows}) == 3
    assert [row.dataset_version for row in rows] == [hospital.version.version_id for hospital in same]


def test_hospitals_that_share_the_longest_name_are_delivered(new_hospital, new_world, make):
    longest = "H" * 63
    same = [new_hospital(longest, make.rows(seed, 100), make.dictionary()) for seed in (30, 31)]

    run = new_world(same).run()

    assert len({row.name for row in run.open_result().hospitals}) == 2
