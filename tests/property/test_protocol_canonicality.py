"""One document, one sequence of bytes: no other spelling parses, and no input raises anything but our own errors."""

from __future__ import annotations

import contextlib
import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.errors import DocumentError, HeartifyError, InputError
from heartify.protocol.canonical import encode_canonical, parse_canonical, parse_json
from heartify.protocol.eip712 import from_json
from heartify.protocol.frames import read_frame
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.nesting import MAX_NESTING, check_nesting
from heartify.protocol.orders import AppOffer, parse_signed
from heartify.protocol.plan import Purpose, parse_plan, parse_plan_toml
from heartify.protocol.receipts import Settlement
from heartify.protocol.result import parse_result

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
POLICY = encode_canonical(GrantPolicy(hospital="h", columns=("age", "event"), purposes=(Purpose.STATISTICS,)))


def is_parsed(data: bytes) -> bool:
    try:
        parse_canonical(data, dict)
    except DocumentError:
        return False
    return True


@given(OBJECTS)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_a_canonical_document_parses_to_what_was_encoded(document):
    data = encode_canonical(document)

    assert parse_canonical(data, dict) == json.loads(data) == document


@given(OBJECTS.filter(lambda document: len(document) > 0))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_no_other_layout_of_the_same_document_parses(document):
    data = encode_canonical(document)
    backwards = json.dumps(dict(sorted(document.items(), reverse=True)), ensure_ascii=False, separators=(",", ":"))

    others = [json.dumps(document).encode(), data + b" ", b" " + data, data[:1] + b" " + data[1:], backwards.encode()]

    assert [is_parsed(other) for other in others if other != data] == [False] * sum(o != data for o in others)


@given(st.integers(0, len(POLICY) - 1), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_any_edit_of_a_policy_is_refused_or_is_another_policy(place, replacement, length):
    edited = POLICY[:place] + replacement + POLICY[place + length :]

    try:
        policy = parse_canonical(edited, GrantPolicy)
    except DocumentError:
        return
    assert encode_canonical(policy) == edited
    assert (policy == parse_canonical(POLICY, GrantPolicy)) == (edited == POLICY)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_whatever_comes_in_raises_our_own_errors_only(data):
    framed = len(data).to_bytes(4, "big") + bytes(4) + data
    for parse in (
        lambda: parse_canonical(data, GrantPolicy),
        lambda: parse_json(data, dict),
        lambda: parse_plan(data),
        lambda: parse_result(data),
        lambda: read_frame(io.BytesIO(framed).read),
    ):
        with contextlib.suppress(HeartifyError):
            parse()


@given(st.text(max_size=80))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_whatever_text_is_given_as_a_plan_is_refused_as_input(text):
    try:
        parse_plan_toml(text)
    except InputError:
        return
    raise AssertionError("random text made a plan")


@given(JSON)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_whatever_json_is_given_as_typed_data_is_refused(document):
    for parse in (lambda: from_json(Settlement, document), lambda: parse_signed(AppOffer, document)):
        try:
            parse()
        except DocumentError:
            continue
        raise AssertionError("random JSON made typed data")


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(item) for item in value.values()), default=0)
    return 1 + max((depth_of(item) for item in value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(0, 2 * MAX_NESTING))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_the_nesting_limit_agrees_with_the_depth_of_the_parsed_value(value, levels):
    for _ in range(levels):
        value = [value]

    try:
        check_nesting(json.dumps(value).encode(), "it")
        passed = True
    except DocumentError:
        passed = False

    assert passed == (depth_of(value) <= MAX_NESTING)
