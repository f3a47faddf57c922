"""Deeply nested JSON is refused before a recursive parser sees it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from heartify.errors import DocumentError
from heartify.protocol.nesting import MAX_NESTING, check_nesting

HOSTILE = """
import sys
sys.setrecursionlimit(100_000)  # what importing web3 does
from heartify.errors import DocumentError
from heartify.protocol.canonical import parse_json
from heartify.protocol.frames import read_frame
from heartify.protocol.key_release import ReleaseRequest
import io
body = b'{"plan":' + b'{"a":' * 300_000
for attempt in (
    lambda: parse_json(body, ReleaseRequest),
    lambda: read_frame(io.BytesIO(len(body).to_bytes(4, "big") + bytes(4) + body).read),
):
    try:
        attempt()
    except DocumentError as error:
        print(error)
"""


def test_hostile_nesting_does_not_crash_a_process_with_a_raised_recursion_limit():
    ended = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 0
    assert ended.stdout.count("is nested more than 64 levels deep") == 2


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_the_limit_is_exact(opening):
    check_nesting(opening * MAX_NESTING, "it")

    with pytest.raises(DocumentError, match=r"^it is nested more than 64 levels deep$"):
        check_nesting(opening * (MAX_NESTING + 1), "it")


@pytest.mark.parametrize(
    "text",
    [b'"' + b"[" * 100 + b'"', b'["\\"' + b"{" * 100 + b'"]', b'"\\\\\\"' + b"[" * 100, b"[]" * 100, b"{}{}" * 100],
)
def test_brackets_in_strings_and_side_by_side_do_not_nest(text):
    check_nesting(text, "it")


def test_a_closed_string_does_not_hide_what_follows():
    with pytest.raises(DocumentError):
        check_nesting(b'["a\\\\",' + b"[" * 100, "it")


@pytest.mark.parametrize("unit", [b'"', b'\\"', b'"\\', b'"a', b"[]"])
def test_no_input_takes_more_than_linear_time(unit):
    start = time.perf_counter()

    check_nesting(unit * 1_000_000, "it")

    assert time.perf_counter() - start < 5
