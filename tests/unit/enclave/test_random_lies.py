"""A host that tampers, replays, reorders, swaps and drops at random: never a false result, never a key in the clear.

The brokers are real, and so is the enclave's program; the host between them does to each message whatever Hypothesis
draws. Whatever comes of it, an outcome that is signed as delivered is the one that an honest host would have had with
the same hospitals.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from heartify.cohort.encrypted.column_crypto import column_key
from heartify.errors import HeartifyError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.outcomes import FIRST_UNPAID_CODE, Outcome
from heartify.protocol.result import encode_result

OPERATIONS = ("challenge", "quote", "release", "file")
ACTIONS = st.sampled_from(
    ["honest", "honest", "honest", "no", "replay", "swap", "tamper-answer", "tamper-request", "twice", "other-word"]
)
SCRIPT = st.lists(st.tuples(ACTIONS, st.integers(0, 2**32 - 1)), max_size=60)


class Liar:
    """Does to each call what the script says, and tells the truth when the script has ended."""

    def __init__(self, world, script):
        self.world = world
        self.script = list(script)
        self.seen: dict[str, list[Any]] = {operation: [] for operation in OPERATIONS}

    def lies(self):
        return dict.fromkeys(OPERATIONS, self.lie)

    def lie(self, host, header, honest):
        action, number = self.script.pop(0) if self.script else ("honest", 0)
        operation = header["op"]
        answer = self.act(action, number, host, header, honest)
        self.seen[operation].append(copy.deepcopy(answer))
        return answer

    def act(self, action, number, host, header, honest):
        operation = header["op"]
        earlier = self.seen[operation]
        match action:
            case "no":
                return {"op": operation, "ok": False}, b""
            case "replay" if earlier:
                return copy.deepcopy(earlier[number % len(earlier)])
            case "swap" if "grant" in header:
                other = {**header, "grant": number % len(self.world.hospitals)}
                return self.try_honest(host, other)
            case "tamper-answer":
                reply, body = honest()
                return tamper(reply, number), flip(body, number)
            case "tamper-request":
                return self.try_honest(host, tamper(header, number))
            case "twice":
                honest()
                return honest()
            case "other-word":
                reply, body = honest()
                return {**reply, "op": OPERATIONS[number % len(OPERATIONS)]}, body
        return honest()

    @staticmethod
    def try_honest(host, header):
        try:
            return host.honest(header)
        except (HeartifyError, ValueError, LookupError, TypeError, AttributeError):
            return {"op": header.get("op"), "ok": False}, b""


def tamper(document, number):
    """Change one leaf of a document but its operation: a digit, a number, a truth, or take it out."""
    changed = copy.deepcopy(document)
    leaves = [place for place in walk(changed) if place[1] != "op"]
    if not leaves:
        return changed
    parent, key = leaves[number % len(leaves)]
    value = parent[key]
    if isinstance(value, str) and value:
        at = number // 7 % len(value)
        parent[key] = value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]
    elif isinstance(value, bool) or value is None:
        parent[key] = not value
    elif isinstance(value, (int, float)):
        parent[key] = value + 1 + number % 3
    else:
        parent[key] = "0x" + "00" * 32
    return changed


def walk(document):
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, (dict, list)) and value:
            yield from walk(value)
        else:
            yield document, key


def flip(body, number):
    if not body:
        return body
    at = number % len(body)
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.fixture(scope="module")
def honest_results(world):
    """The honest result with each set of hospitals left out, made when it is first asked for."""
    kept: dict[int, bytes] = {}

    def result(left_out: int) -> bytes:
        if left_out not in kept:

            def refuse(_host, header, honest):
                return ({"op": "challenge", "ok": False}, b"") if left_out >> header["grant"] & 1 else honest()

            kept[left_out] = encode_result(world.run({"challenge": refuse}).open_result())
        return kept[left_out]

    return result


def secrets_of(hospital):
    manifest = hospital.version.manifest
    for column in manifest.column_names:
        yield column_key(
            hospital.version.master_key,
            dataset=to_bytes(manifest.dataset),
            version_nonce=to_bytes(manifest.version_nonce),
            column=column,
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=SCRIPT)
def test_whatever_the_host_does_the_outcome_is_true_or_unpaid(world, honest_results, script):
    run = world.run(Liar(world, script).lies())

    event(
        "no ending" if run.done is None else f"{run.settlement.kind.label}, {int(run.settlement.leftOut):03b} left out"
    )
    if run.done is None:
        assert run.error is not None
    else:
        settlement = run.settlement
        if settlement.kind is Outcome.DELIVERED:
            assert encode_result(run.open_result()) == honest_results(int(settlement.leftOut))
        else:
            assert settlement.kind is Outcome.FAILED
            assert settlement.code >= FIRST_UNPAID_CODE
    for hospital in world.hospitals:
        for key in secrets_of(hospital):
            assert key not in run.raw
            assert key.hex().encode() not in run.raw
