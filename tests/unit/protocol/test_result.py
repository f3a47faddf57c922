"""The result: a closed schema in a padded frame."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.result import MAX_RESULT_BYTES, StudyResult, encode_result, parse_result, result_info

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "protocol" / "result.json").read_text(encoding="utf-8"))
RESULT = msgspec.json.decode(VECTOR["canonical"], type=StudyResult)


def framed(document: object) -> bytes:
    body = encode_canonical(document)
    data = len(body).to_bytes(4, "big") + body
    return data + bytes(-len(data) % 4096)


def test_result_round_trip():
    assert parse_result(encode_result(RESULT)) == RESULT


def test_the_length_does_not_tell_how_long_the_result_is():
    longer = msgspec.structs.replace(RESULT, outcome="num > 0 or something longer")

    assert len(encode_result(longer)) == len(encode_result(RESULT)) == 4096


def test_a_result_over_the_limit_is_not_encoded():
    huge = msgspec.structs.replace(RESULT, weights=RESULT.weights * (MAX_RESULT_BYTES // 100))

    with pytest.raises(IntegrityError, match="over"):
        encode_result(huge)


def test_an_opened_result_over_the_limit_is_refused():
    with pytest.raises(IntegrityError, match="length or padding"):
        parse_result(framed({"a": "x" * MAX_RESULT_BYTES}))


@pytest.mark.parametrize(
    "change",
    [
        {"covariance": [[1.0]]},
        {"n": 7.5},
        {"weights": []},
        {"weights": [{"factor": "age"}]},
        {"notes": ["anything"]},
        {"model": "probit"},
        {"format": "heartify.result/1"},
        {"deal": "0x"},
        {"simulated": None},
        {"hospitals": [{**json.loads(VECTOR["canonical"])["hospitals"][0], "patients": [1]}]},
        {"hospitals": [{**json.loads(VECTOR["canonical"])["hospitals"][0], "reason": "because"}]},
    ],
)
def test_a_document_outside_the_closed_schema_is_refused(change):
    with pytest.raises(DocumentError, match="not a valid StudyResult"):
        parse_result(framed({**json.loads(VECTOR["canonical"]), **change}))


@pytest.mark.parametrize("field", sorted(json.loads(VECTOR["canonical"])))
def test_a_document_that_lacks_a_field_is_refused(field):
    document = {name: value for name, value in json.loads(VECTOR["canonical"]).items() if name != field}

    with pytest.raises(DocumentError):
        parse_result(framed(document))


def test_the_info_binds_the_deal():
    assert result_info("0x" + "ab" * 32) != result_info("0x" + "ac" * 32)
