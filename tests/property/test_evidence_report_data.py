"""Report data: an independent construction agrees, and no two questions share a value."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.errors import DocumentError
from heartify.protocol.evidence import TEE_KIND_NAMES, TeeKind, is_simulated, parse_tee_kind, report_data

QUESTION = st.fixed_dictionaries(
    {
        "nonce": st.binary(min_size=32, max_size=32),
        "broker": st.binary(min_size=20, max_size=20),
        "chain_id": st.integers(1, 2**64 - 1),
        "contract": st.binary(min_size=20, max_size=20),
        "deal": st.binary(min_size=32, max_size=32),
        "plan_digest": st.binary(min_size=32, max_size=32),
        "encryption_public_key": st.binary(min_size=1, max_size=1300),
        "enclave_address": st.binary(min_size=20, max_size=20),
    }
)


@given(QUESTION)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_report_data_follow_the_written_layout(question):
    hasher = hashlib.sha512(b"heartify/report-data/v1")
    for name in (
        "nonce",
        "broker",
        "chain_id",
        "contract",
        "deal",
        "plan_digest",
        "encryption_public_key",
        "enclave_address",
    ):
        part = struct.pack(">Q", question[name]) if name == "chain_id" else question[name]
        hasher.update(struct.pack(">I", len(part)))
        hasher.update(part)

    assert report_data(**question) == hasher.digest()


@given(QUESTION, QUESTION)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_changing_any_one_part_changes_the_report_data(question, other):
    for name, value in other.items():
        if question[name] != value:
            assert report_data(**{**question, name: value}) != report_data(**question)


GOOD = {
    "nonce": bytes(32),
    "broker": bytes(20),
    "chain_id": 1,
    "contract": bytes(20),
    "deal": bytes(32),
    "plan_digest": bytes(32),
    "encryption_public_key": bytes(1216),
    "enclave_address": bytes(20),
}


def test_known_answer_of_report_data():
    expected = (
        b"heartify/report-data/v1"
        + bytes.fromhex("00000020") + bytes(32)
        + bytes.fromhex("00000014") + bytes(20)
        + bytes.fromhex("00000008" + "0000000000000001")
        + bytes.fromhex("00000014") + bytes(20)
        + bytes.fromhex("00000020") + bytes(32)
        + bytes.fromhex("00000020") + bytes(32)
        + bytes.fromhex("000004c0") + bytes(1216)
        + bytes.fromhex("00000014") + bytes(20)
    )  # fmt: skip

    assert report_data(**GOOD) == hashlib.sha512(expected).digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value + b"\0") for name, value in GOOD.items() if name not in {"chain_id", "encryption_public_key"}),
        *((name, value[:-1]) for name, value in GOOD.items() if name not in {"chain_id", "encryption_public_key"}),
        ("chain_id", 0),
        ("chain_id", -1),
        ("chain_id", 2**64),
        ("encryption_public_key", b""),
        ("encryption_public_key", bytes(9000)),
    ],
)
def test_part_of_wrong_size_is_refused(name, value):
    with pytest.raises(DocumentError, match="report data"):
        report_data(**{**GOOD, name: value})


@pytest.mark.parametrize("name", TEE_KIND_NAMES)
def test_every_kind_has_one_name(name):
    kind = parse_tee_kind(name)

    assert kind.wire_name == name
    assert is_simulated(name) == name.startswith("simulated-")


def test_kind_bits_are_those_of_the_grant():
    assert [int(kind) for kind in TeeKind] == [1, 2, 4, 256, 512]


@pytest.mark.parametrize("kind", [TeeKind(0), TeeKind.SGX | TeeKind.TDX])
def test_combination_of_kinds_has_no_name(kind):
    with pytest.raises(DocumentError, match="not one known kind"):
        _ = kind.wire_name


@pytest.mark.parametrize("name", ["", "SGX", "simulated", "sgx "])
def test_unknown_kind_is_refused(name):
    with pytest.raises(DocumentError, match="unknown TEE kind"):
        parse_tee_kind(name)
