"""Canonical documents: limits, spellings, and errors of our own family. The vectors hold the byte-level cases."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from heartify.errors import DocumentError
from heartify.protocol.app_release import Measurement
from heartify.protocol.canonical import (
    MAX_DOCUMENT_BYTES,
    Address,
    Digest,
    HexBytes,
    digest_of,
    encode_canonical,
    parse_canonical,
    parse_json,
    to_bytes,
    to_hex,
)
from heartify.protocol.key_release import Nonce, Session
from heartify.protocol.plan import ColumnName, Name


def test_a_document_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    filler = MAX_DOCUMENT_BYTES - len('{"a":""}')

    assert parse_canonical(b'{"a":"' + b"x" * filler + b'"}', dict)["a"] == "x" * filler
    with pytest.raises(DocumentError, match="over the limit"):
        parse_canonical(b'{"a":"' + b"x" * (filler + 1) + b'"}', dict)


def test_parse_json_takes_any_spacing_and_order():
    assert parse_json(b'{ "b": 1,\n "a": 2 }', dict) == {"a": 2, "b": 1}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"a":1}x', b"nul"])
def test_parse_json_refuses_what_is_no_object(data):
    with pytest.raises(DocumentError, match="not a valid dict"):
        parse_json(data, dict)


@pytest.mark.parametrize(
    "document",
    [
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 2**53 + 1},
        {"a": "\ud800"},
        {1: "number as a key"},
        {"a": object()},
    ],
)
def test_values_without_a_canonical_form_are_refused(document):
    with pytest.raises(DocumentError, match="no canonical form"):
        encode_canonical(document)


DEEP = """
from heartify.errors import DocumentError
from heartify.protocol.canonical import encode_canonical
document = 1
for _ in range(50_000):
    document = [document]
try:
    encode_canonical(document)
except DocumentError as error:
    print(error)
"""


def test_document_built_too_deep_is_refused():
    # in a process of its own: other libraries of the test run have raised the recursion limit
    ended = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=30, check=False)

    assert ended.stdout.startswith("the document has no canonical form")


def test_digest_of_a_known_document():
    # printf '{"a":1}' | sha256sum
    assert digest_of({"a": 1}) == "0x015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


GOOD = {
    Digest: "0x" + "0a" * 32,
    Address: "0x" + "0a" * 20,
    HexBytes: "0x0a",
    Nonce: "0x" + "0a" * 32,
    Session: "0a" * 16,
    Measurement: "0x" + "0a" * 48,
    Name: "age",
    ColumnName: "_age",
}


@pytest.mark.parametrize("kind", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_texts_have_one_spelling(kind):
    good = GOOD[kind]

    assert msgspec.convert(good, kind) == good
    for other in (good + "\n", "\n" + good, good + " ", good + "\0", "", "0X" + good[2:]):
        if other == "0X" + good[2:] and kind in (Name, ColumnName, Session):
            continue
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(other, kind)


@pytest.mark.parametrize("kind", [Digest, Address, HexBytes, Measurement])
def test_capital_digits_are_another_spelling_and_refused(kind):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(GOOD[kind].replace("a", "A"), kind)


def test_hex_round_trip():
    assert to_bytes(to_hex(bytes(range(256)))) == bytes(range(256))
