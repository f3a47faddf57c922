"""A host that hands in other documents than the deal's: each is refused before any broker is asked."""

from __future__ import annotations

import copy

import msgspec
import pytest

from heartify.enclave.failure import StudyFailedError
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.eip712 import bytes32
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Purpose
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import recover_address


def check_failed(run, code):
    settlement = run.settlement
    assert (settlement.kind, settlement.code) == (Outcome.FAILED, code)
    assert settlement.deal == run.world.deal_id
    assert recover_address(settlement.digest(run.world.domain), run.done["signature"]) == run.done["enclave"]
    assert run.sealed == b""


def check_refused_before_any_request(run, code):
    check_failed(run, code)
    assert run.settlement.leftOut == (1 << len(run.world.deal.grants)) - 1
    assert {header["op"] for header, _ in run.frames} == {"step", "done"}


def check_no_ending(run):
    assert run.frames == []
    assert isinstance(run.error, StudyFailedError)


def with_one_byte_changed(hex_text):
    data = bytearray(to_bytes(hex_text))
    data[len(data) // 2] ^= 1
    return to_hex(bytes(data))


def tampered(world, path, change):
    """The honest job with one place changed."""
    job = copy.deepcopy(world.documents())
    place = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = change(place[path[-1]])
    return job


DOCUMENTS = [("plan",), ("result_key",)] + [
    ("hospitals", index, kind) for index in (0, 2) for kind in ("manifest", "dictionary", "policy")
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
@pytest.mark.parametrize(
    "change", [with_one_byte_changed, lambda text: text[:-2], lambda text: text + "20", lambda text: "0x"]
)
def test_changed_document_is_input_damaged(world, path, change):
    run = world.run(job=tampered(world, path, change))

    check_refused_before_any_request(run, FailureCode.INPUT_DAMAGED)


@pytest.mark.parametrize("kind", ["manifest", "dictionary", "policy"])
def test_documents_swapped_between_hospitals_are_input_damaged(new_hospital, new_world, make, kind):
    pair = (
        new_hospital("one", make.rows(70, 60), make.dictionary()),
        new_hospital("two", make.rows(71, 60), make.dictionary(outcome_codes=("1", "0"))),
    )
    world = new_world(pair)
    job = copy.deepcopy(world.documents())
    first, second = job["hospitals"]
    first[kind], second[kind] = second[kind], first[kind]

    check_refused_before_any_request(world.run(job=job), FailureCode.INPUT_DAMAGED)


def test_hospitals_in_another_order_are_input_damaged(world):
    job = tampered(world, ("hospitals",), lambda entries: entries[::-1])

    check_refused_before_any_request(world.run(job=job), FailureCode.INPUT_DAMAGED)


@pytest.mark.parametrize("change", [lambda entries: entries[:-1], lambda entries: [*entries, entries[0]]])
def test_missing_or_additional_hospital_is_input_damaged(world, change):
    job = tampered(world, ("hospitals",), change)

    check_refused_before_any_request(world.run(job=job), FailureCode.INPUT_DAMAGED)


def test_older_version_of_the_same_dataset_is_input_damaged(world):
    older = to_hex(encode_canonical(world.hospitals[0].older.manifest))
    job = tampered(world, ("hospitals", 0, "manifest"), lambda _: older)

    check_refused_before_any_request(world.run(job=job), FailureCode.INPUT_DAMAGED)


def test_key_of_somebody_else_for_the_result_is_input_damaged(world):
    thief = SealingKey.from_seed(b"t" * 32)
    job = tampered(world, ("result_key",), lambda _: to_hex(thief.public_key))

    check_refused_before_any_request(world.run(job=job), FailureCode.INPUT_DAMAGED)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resultKeyDigest", "0x" + "00" * 32),
        ("planDigest", "0x" + "00" * 32),
        ("minGrants", "0"),
        ("teeKind", "1"),
        ("sizeClass", "3"),
        ("deadline", "1"),
    ],
)
def test_changed_deal_has_no_ending_at_all(world, field, value):
    job = tampered(world, ("deal", field), lambda _: value)

    check_no_ending(world.run(job=job))


@pytest.mark.parametrize("field", ["broker", "owner"])
def test_deal_with_another_broker_or_owner_has_no_ending_at_all(world, field):
    job = tampered(world, ("deal", "grants", 0, field), lambda _: "0x" + "ee" * 20)

    check_no_ending(world.run(job=job))


@pytest.mark.parametrize(
    ("field", "value"), [("deal_id", "0x" + "ab" * 32), ("market", "0x" + "ab" * 20), ("chain_id", 1)]
)
def test_deal_of_another_id_market_or_chain_has_no_ending_at_all(world, field, value):
    check_no_ending(world.run(job={**world.documents(), field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", -1),
        ("chain_id", 0),
        ("chain_id", 2**64),
        ("chain_id", "1"),
        ("market", "0x" + "AB" * 20),
        ("deal_id", None),
        ("plan", "0xZZ"),
        ("result_key", "0x123"),
        ("hospitals", {}),
        ("hospitals", [{"manifest": "0x"}]),
        ("deal", []),
    ],
)
def test_job_out_of_its_types_has_no_ending_at_all(world, field, value):
    check_no_ending(world.run(job={**world.documents(), field: value}))


@pytest.mark.parametrize("field", ["chain_id", "market", "deal_id", "deal", "plan", "result_key", "hospitals"])
def test_job_without_a_field_has_no_ending_at_all(world, field):
    job = {key: value for key, value in world.documents().items() if key != field}

    check_no_ending(world.run(job=job))


@pytest.mark.parametrize("job", [b"\0" * 8, b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n", {"op": "file"}, {}])
def test_first_frame_that_is_no_job_has_no_ending_at_all(world, job):
    check_no_ending(world.run(job=job))


# ---- documents that are the deal's, and wrong all the same


def test_plan_with_a_column_that_the_grant_does_not_cover_is_not_permitted(new_world, hospitals, make):
    plan = make.plan(FactorSpec(name="age", column="age"), FactorSpec(name="note", column="note"))

    check_refused_before_any_request(new_world(hospitals, plan).run(), FailureCode.PLAN_NOT_PERMITTED)


def test_plan_of_another_purpose_is_not_permitted(new_world, hospitals, make):
    plan = make.plan(purpose=Purpose.POLICY)

    check_refused_before_any_request(new_world(hospitals, plan).run(), FailureCode.PLAN_NOT_PERMITTED)


def test_plan_without_the_permit_that_the_grant_demands_is_not_permitted(new_hospital, new_world, hospitals, make):
    demanding = new_hospital("elm", make.rows(72, 60), make.dictionary(), permit="HDAB-2026-7")

    check_refused_before_any_request(new_world((*hospitals, demanding)).run(), FailureCode.PLAN_NOT_PERMITTED)


def test_column_that_one_hospital_does_not_have_is_unknown(new_hospital, new_world, make):
    columns = ("age", "x00", "cvd")
    pair = (
        new_hospital("wide", make.rows(73, 60), make.dictionary(wide=True), columns=columns),
        new_hospital("narrow", make.rows(74, 60), make.dictionary(), columns=columns),
    )
    plan = make.plan(FactorSpec(name="age", column="age"), FactorSpec(name="x", column="x00"))

    check_refused_before_any_request(new_world(pair, plan).run(), FailureCode.PLAN_COLUMN_UNKNOWN)


def test_level_that_a_column_does_not_have_is_unknown(new_world, hospitals, make):
    plan = make.plan(outcome=OutcomeSpec(column="cvd", equals="7"))

    check_refused_before_any_request(new_world(hospitals, plan).run(), FailureCode.PLAN_COLUMN_UNKNOWN)


def test_units_that_differ_between_hospitals_are_dictionaries_differ(new_hospital, new_world, hospitals, make):
    rows = make.rows(75, 60)
    rows["chol"] = rows["chol"].round(1) / 38.67
    other = new_hospital("metric", rows, make.dictionary(chol_unit="mmol/L"))

    check_refused_before_any_request(new_world((hospitals[0], other)).run(), FailureCode.DICTIONARIES_DIFFER)


def test_units_of_a_column_that_the_plan_does_not_read_may_differ(new_hospital, new_world, hospitals, make):
    rows = make.rows(75, 60)
    rows["chol"] = rows["chol"].round(1) / 38.67
    other = new_hospital("metric", rows, make.dictionary(chol_unit="mmol/L"))
    plan = make.plan(FactorSpec(name="age", column="age"))

    assert new_world((hospitals[0], other), plan).run().settlement.kind is Outcome.DELIVERED


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": {"column": "cvd"}},
        {"factors": [{"name": "a", "column": "age"}, {"name": "a", "column": "sex"}]},
        {"factors": []},
        {"run": "import os"},
        {"format": "heartify.plan/1"},
    ],
)
def test_plan_that_the_lab_paid_for_and_that_means_nothing_is_plan_invalid(new_world, hospitals, change):
    world = new_world(hospitals)
    data = encode_canonical(msgspec.to_builtins(world.plan) | change)
    broken = new_world(hospitals, planDigest=bytes32(sha256_digest(data)))
    job = {**broken.documents(), "plan": to_hex(data)}

    check_refused_before_any_request(broken.run(job=job), FailureCode.PLAN_INVALID)


def test_plan_that_is_not_canonical_is_plan_invalid(new_world, hospitals):
    data = encode_canonical(new_world(hospitals).plan) + b" "
    broken = new_world(hospitals, planDigest=bytes32(sha256_digest(data)))

    run = broken.run(job={**broken.documents(), "plan": to_hex(data)})

    check_refused_before_any_request(run, FailureCode.PLAN_INVALID)


@pytest.mark.parametrize("key", [b"", b"\0" * 10, b"\xff" * 1216])
def test_result_key_that_is_no_key_is_result_key_invalid_before_any_key_is_used_up(new_world, hospitals, key):
    world = new_world(hospitals, resultKeyDigest=bytes32(sha256_digest(key)))

    run = world.run(job={**world.documents(), "result_key": to_hex(key)})

    check_refused_before_any_request(run, FailureCode.RESULT_KEY_INVALID)
