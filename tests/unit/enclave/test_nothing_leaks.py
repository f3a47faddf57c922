"""What the enclave sends during a delivered run: requests, step names, the ending. No value, no key, however spelt."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest

from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.protocol.canonical import encode_canonical, to_bytes
from heartify.protocol.outcomes import Outcome

FRAME_FIELDS = {
    "step": {"op", "name"},
    "challenge": {"op", "grant"},
    "quote": {"op", "report_data"},
    "release": {"op", "grant", "request"},
    "file": {"op", "grant", "file"},
    "done": {"op", "settlement", "signature", "enclave", "encryption_public_key"},
}
STEPS = [
    "checking the documents",
    "asking the hospitals' brokers for keys",
    "reading and decrypting the columns",
    "fitting and checking the disclosure rules",
    "sealing the result",
]
CHOLESTEROL_CANARY = 271.828182


def spellings(value):
    """A number as text and in every binary form that a careless dump could take."""
    texts = {repr(value), f"{value:.6f}", f"{value:.17g}", f"{value:.6e}", value.hex()}
    binary = [struct.pack(order + kind, value) for order in "<>" for kind in "df"]
    return {text.encode() for text in texts} | set(binary) | {data.hex().encode() for data in binary}


def secret_spellings(secret):
    return {
        secret,
        secret.hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
    }


@pytest.fixture(scope="module")
def planted(new_hospital, new_world, hospitals, make):
    """A deal with a hospital whose cholesterol values are found nowhere else."""
    rows = make.rows(80, 120)
    values = CHOLESTEROL_CANARY + np.arange(120) * 1.000173
    rows["chol"] = np.where(np.arange(120) % 2 == 0, rows["chol"], values)
    return new_world((hospitals[0], new_hospital("planted", rows, make.dictionary())))


@pytest.fixture(scope="module")
def run(planted):
    finished = planted.run()
    assert finished.settlement.kind is Outcome.DELIVERED
    return finished


def test_frames_are_of_the_closed_list_with_their_fields_and_no_others(run):
    for header, _ in run.frames:
        assert set(header) == FRAME_FIELDS[header["op"]]


def test_steps_are_names_of_a_fixed_list(run):
    assert [header["name"] for header in run.asked("step")] == STEPS


def test_only_the_ending_has_a_body(run):
    assert {header["op"] for header, body in run.frames if body} == {"done"}


def test_request_to_a_broker_holds_what_the_host_gave_and_two_public_keys(planted, run):
    for header in run.asked("release"):
        request = header["request"]
        assert request["deal"] == planted.deal.to_json()
        assert encode_canonical(request["plan"]) == encode_canonical(planted.plan)
        assert set(request) == {
            "session",
            "deal",
            "plan",
            "dataset_version",
            "encryption_public_key",
            "enclave",
            "evidence",
        }


def test_no_patients_value_is_in_any_byte_that_left(planted, run):
    values = planted.hospitals[1].rows["chol"][1::2]
    assert len(values) == 60

    found = [value for value in values for text in spellings(float(value)) if text in run.raw]

    assert found == []


def test_search_finds_a_value_where_there_is_one():
    """The search above can fail: each spelling is found in a message that holds it."""
    for text in spellings(CHOLESTEROL_CANARY):
        assert text in b"..." + text + b"..."
    assert len(spellings(CHOLESTEROL_CANARY)) >= 8


def test_no_key_is_in_any_byte_that_left(planted, run):
    secrets = [
        secret
        for hospital in planted.hospitals
        for secret in (
            hospital.version.master_key,
            hospital.broker_key,
            *column_keys(hospital.version.master_key, hospital.version.manifest).values(),
        )
    ]

    found = [index for index, secret in enumerate(secrets) for text in secret_spellings(secret) if text in run.raw]

    assert len(secrets) == 18
    assert found == []


def test_no_part_of_the_result_is_in_the_clear(run):
    result = run.open_result()
    figures = {weight.beta for weight in result.weights} | {weight.ratio for weight in result.weights}

    found = [figure for figure in figures if figure is not None and repr(figure).encode() in run.raw]

    assert found == []
    assert encode_canonical(result) not in run.raw
    assert b"beta" not in run.raw
    assert b"contributed" not in run.raw


def test_sealed_result_hides_how_long_the_document_is(world, planted, run, delivered):
    assert len(run.sealed) == len(delivered.sealed)
    assert len(encode_canonical(run.open_result())) != len(encode_canonical(delivered.open_result()))


def test_quotes_hold_a_hash_and_nothing_else(run):
    assert all(len(to_bytes(header["report_data"])) == 64 for header in run.asked("quote"))


def test_failed_run_says_nothing_of_the_failure_but_its_code(planted):
    def damage(_host, _header, honest):
        reply, body = honest()
        return reply, body[:-1]

    run = planted.run({"file": damage})

    for header, body in run.frames:
        assert set(header) == FRAME_FIELDS[header["op"]]
        assert body == b""
    for word in (b"IntegrityError", b"Traceback", b"file-size", b"expected", b".py"):
        assert word not in run.raw
