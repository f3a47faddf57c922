"""A host that answers twice, early, late, crosswise or byte by byte, and one that changes any byte of what it carries.

Whatever it does, the run ends in a signed code of the closed list or in no ending at all, and no frame leaves that
isn't of the closed list.
"""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.enclave.failure import StudyFailedError
from heartify.protocol.frames import MAX_HEADER_BYTES, encode_frame
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.signing import recover_address

OPERATIONS = ("challenge", "quote", "release", "file")
FRAME_FIELDS = {
    "step": {"op", "name"},
    "challenge": {"op", "grant"},
    "quote": {"op", "report_data"},
    "release": {"op", "grant", "request"},
    "file": {"op", "grant", "file"},
    "done": {"op", "settlement", "signature", "enclave", "encryption_public_key"},
}


def check_nothing_else_left(run):
    """A signed settlement with a code of the list, or no ending; and no other frame, field or body."""
    for header, body in run.frames:
        assert set(header) == FRAME_FIELDS[header["op"]]
        assert body == b"" or header["op"] == "done"
    if run.done is None:
        assert isinstance(run.error, StudyFailedError)
        return
    assert run.error is None
    settlement = run.settlement
    assert recover_address(settlement.digest(run.world.domain), run.done["signature"]) == run.done["enclave"]
    if settlement.kind is Outcome.FAILED:
        FailureCode(settlement.code)
        assert run.sealed == b""


def failure(run):
    check_nothing_else_left(run)
    assert run.settlement.kind is Outcome.FAILED
    return FailureCode(run.settlement.code)


def twice(host, _header, honest):
    """The first answer comes twice, every other once."""
    frame = encode_frame(*honest())
    first = not host.memory.get("answered")
    host.memory["answered"] = True
    return frame * 2 if first else frame


@pytest.mark.parametrize("operation", ["challenge", "quote", "release"])
def test_answer_that_comes_twice_is_a_broken_host_protocol(world, operation):
    assert failure(world.run({operation: twice})) is FailureCode.HOST_PROTOCOL


def test_file_that_comes_twice_is_not_the_next_file(world):
    assert failure(world.run({"file": twice})) is FailureCode.INPUT_DAMAGED


def test_answers_that_come_one_question_late_are_a_broken_host_protocol(world):
    """The host keeps each answer back and gives the one before."""

    def late(host, header, honest):
        answer, host.memory["kept"] = host.memory.get("kept", ({"op": header["op"], "ok": False}, b"")), honest()
        return answer

    code = failure(world.run(dict.fromkeys(OPERATIONS, late)))

    assert code in {FailureCode.HOST_PROTOCOL, FailureCode.KEYS_UNAVAILABLE}


def test_files_in_another_order_than_asked_for_are_input_damaged(world):
    def reversed_order(host, header, _honest):
        hospital = host.world.hospitals[header["grant"]]
        names = [entry.object_name for entry in hospital.version.manifest.columns]
        return {"op": "file", "ok": True}, hospital.file(names[-1 - names.index(header["file"])])

    assert failure(world.run({"file": reversed_order})) is FailureCode.INPUT_DAMAGED


def test_challenges_of_two_brokers_given_crosswise_bring_no_keys(world):
    def crosswise(host, header, _honest):
        other = {0: 1, 1: 0}.get(header["grant"], header["grant"])
        return host.honest({**header, "grant": other})

    run = world.run({"challenge": crosswise})

    assert run.settlement.leftOut == 0b011
    assert run.settlement.kind is Outcome.DELIVERED  # by the third hospital alone
    assert [header["grant"] for header in run.asked("release")] == [2]


def test_evidence_for_another_deal_brings_no_keys(world, strict_world):
    """A genuine quote of the same platform over the report data that the other deal's run asked for."""
    other = strict_world.run()
    report_data = other.asked("quote")[0]["report_data"]

    def foreign(host, header, _honest):
        return host.honest({**header, "report_data": report_data})

    assert failure(world.run({"quote": foreign})) is FailureCode.KEYS_UNAVAILABLE


@pytest.mark.parametrize("operation", OPERATIONS)
def test_unasked_frames_before_an_answer_are_a_broken_host_protocol(world, operation):
    def chatty(_host, _header, honest):
        return encode_frame({"op": "note", "ok": True}) + encode_frame(*honest())

    assert failure(world.run({operation: chatty})) is FailureCode.HOST_PROTOCOL


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answer_longer_than_any_honest_one_is_not_even_received(world, operation):
    """Only lengths are sent: an enclave that waited for the rest would hang."""
    for lengths in ((MAX_HEADER_BYTES, 0), (2, 1 << 29)):
        run = world.run({operation: lambda *_, lengths=lengths: struct.pack(">II", *lengths)})

        assert failure(run) is FailureCode.HOST_PROTOCOL


def test_answers_that_drip_in_byte_by_byte_are_answers(new_world, hospitals):
    world = new_world(hospitals[:1])

    def drip(host, _header, honest):
        for byte in encode_frame(*honest()):
            host._connection.sendall(bytes([byte]))
        return b""

    assert world.run(dict.fromkeys(("challenge", "quote", "release"), drip)).settlement.kind is Outcome.DELIVERED


def test_bytes_behind_the_last_answer_change_nothing(world):
    def last_words(host, _header, honest):
        host.memory["files"] = host.memory.get("files", 0) + 1
        last = host.memory["files"] == 3 * len(host.world.plan.columns())
        return encode_frame(*honest()) + (b"\xff" * 100 if last else b"")

    run = world.run({"file": last_words})

    check_nothing_else_left(run)
    assert run.settlement.kind is Outcome.DELIVERED


# ---- any byte

FUZZ = settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mutate(data, place, change, length):
    """Change bytes at a share of the length: replace, insert or cut."""
    at = int(place * len(data))
    cut = {"replace": len(change), "insert": 0, "cut": length}[("replace", "insert", "cut")[length % 3]]
    return data[:at] + (b"" if length % 3 == 2 else change) + data[at + cut :]


@FUZZ
@given(
    operation=st.sampled_from(OPERATIONS),
    place=st.floats(0, 1, exclude_max=True),
    change=st.binary(min_size=1, max_size=12),
    length=st.integers(0, 30),
)
def test_any_change_of_an_answers_bytes_ends_in_a_code_or_in_silence(world, operation, place, change, length):
    """Property: of the frame as it goes over the line, lengths included."""

    def lie(host, _header, honest):
        # Nothing comes after it: an enclave that was promised more bytes would wait for them.
        host._connection.sendall(mutate(encode_frame(*honest()), place, change, length))
        host._connection.shutdown(socket.SHUT_WR)
        return b""

    check_nothing_else_left(world.run({operation: lie}))


@FUZZ
@given(place=st.floats(0, 1, exclude_max=True), change=st.binary(min_size=1, max_size=12))
def test_any_change_of_the_job_frames_bytes_ends_in_a_code_or_in_silence(world, place, change):
    """Property: replaced bytes keep the length, so the enclave never waits for more."""
    frame = encode_frame(world.documents())
    at = 8 + int(place * (len(frame) - 8))
    changed = (frame[:at] + change + frame[at + len(change) :])[: len(frame)]

    run = world.run(job=changed)

    check_nothing_else_left(run)
    if changed != frame and run.done is not None:
        assert run.settlement.kind is Outcome.FAILED
