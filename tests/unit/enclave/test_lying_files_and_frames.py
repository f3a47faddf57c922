"""A host that gives other files, other answers, or no answers: a code of the closed list, or an exit without ending."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.program import run_job
from heartify.enclave.quoting.host import HostQuoter
from heartify.protocol.frames import MAX_BODY_BYTES, MAX_HEADER_BYTES, encode_frame
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.signing import recover_address

OPERATIONS = ("challenge", "quote", "release", "file")


def check_failed(run, code, *, left_out):
    settlement = run.settlement
    assert (settlement.kind, settlement.code, settlement.leftOut) == (Outcome.FAILED, code, left_out)
    assert recover_address(settlement.digest(run.world.domain), run.done["signature"]) == run.done["enclave"]
    assert run.sealed == b""


def change_file(change):
    """Change the first file that is asked for; every other one is honest."""

    def lie(host, header, honest):
        reply, body = honest()
        first = host.memory.setdefault("first file", (header["grant"], header["file"]))
        return (reply, change(host, header, body)) if first == (header["grant"], header["file"]) else (reply, body)

    return {"file": lie}


def flip(place):
    def change(_host, _header, body):
        data = bytearray(body)
        data[place] ^= 0x80
        return bytes(data)

    return change


@pytest.mark.parametrize("place", [0, 5, 10, 45, 100, -1, -5, -60])
def test_file_with_a_flipped_bit_is_input_damaged(world, place):
    check_failed(world.run(change_file(flip(place))), FailureCode.INPUT_DAMAGED, left_out=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda _host, _header, body: body[:-1],
        lambda _host, _header, body: body[: len(body) // 2],
        lambda _host, _header, _body: b"",
        lambda _host, _header, body: body + b"\0",
        lambda _host, _header, body: body + body,
        lambda _host, _header, body: bytes(len(body)),
    ],
    ids=["one byte less", "half", "nothing", "one byte more", "twice", "zeros"],
)
def test_file_cut_or_prolonged_is_input_damaged(world, change):
    check_failed(world.run(change_file(change)), FailureCode.INPUT_DAMAGED, left_out=0)


def test_file_of_another_hospital_is_input_damaged(world):
    def change(host, header, _body):
        mine, other = host.world.hospitals[:2]
        return other.file_in_place_of(header["file"], of=mine)

    assert world.hospitals[0].version.manifest.columns[0].size == world.hospitals[1].version.manifest.columns[0].size
    check_failed(world.run(change_file(change)), FailureCode.INPUT_DAMAGED, left_out=0)


def test_file_of_an_older_version_is_input_damaged(world):
    def change(host, header, body):
        hospital = host.world.hospitals[0]
        older = hospital.file_in_place_of(header["file"], of=hospital, version=hospital.older)
        assert len(older) == len(body)
        return older

    check_failed(world.run(change_file(change)), FailureCode.INPUT_DAMAGED, left_out=0)


def test_file_of_another_column_is_input_damaged(world):
    def change(host, header, _body):
        hospital = host.world.hospitals[0]
        others = [entry.object_name for entry in hospital.version.manifest.columns]
        others.remove(header["file"])
        return hospital.file(others[0])

    check_failed(world.run(change_file(change)), FailureCode.INPUT_DAMAGED, left_out=0)


def test_file_that_the_host_does_not_have_is_input_damaged(world):
    run = world.run({"file": lambda *_: ({"op": "file", "ok": False}, b"")})

    check_failed(run, FailureCode.INPUT_DAMAGED, left_out=0)
    assert len(run.asked("file")) == 1


def test_damaged_file_costs_no_other_hospital_its_receipt(world):
    """Who gave keys stays in the settlement, so the chain can know the enclave by any of them."""

    def refuse_first(_host, header, honest):
        return ({"op": "challenge", "ok": False}, b"") if header["grant"] == 0 else honest()

    run = world.run({"challenge": refuse_first, **change_file(flip(50))})

    check_failed(run, FailureCode.INPUT_DAMAGED, left_out=0b001)


# ---- frames


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("answer", ["job", "done", "", None])
def test_answer_to_another_operation_is_a_broken_host_protocol(world, operation, answer):
    def lie(_host, _header, honest):
        reply, body = honest()
        return {**reply, "op": answer}, body

    left_out = 0 if operation == "file" else 0b111

    check_failed(world.run({operation: lie}), FailureCode.HOST_PROTOCOL, left_out=left_out)


GARBAGE = {
    "no JSON": struct.pack(">II", 4, 0) + b"nope",
    "a list": struct.pack(">II", 2, 0) + b"[]",
    "no UTF-8": struct.pack(">II", 2, 0) + b"\xff\xfe",
    "empty header": struct.pack(">II", 0, 0),
    "deep nesting": struct.pack(">II", 200_000, 0) + b"[" * 200_000,
    "header too large": struct.pack(">II", MAX_HEADER_BYTES + 1, 0),
    "body too large": struct.pack(">II", 2, MAX_BODY_BYTES + 1),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_instead_of_an_answer_is_a_broken_host_protocol(world, operation, garbage):
    run = world.run({operation: lambda *_: GARBAGE[garbage]})

    check_failed(run, FailureCode.HOST_PROTOCOL, left_out=0 if operation == "file" else 0b111)


def test_frame_without_ok_is_a_no(world):
    run = world.run({"challenge": lambda *_: ({"op": "challenge"}, b"")})

    check_failed(run, FailureCode.KEYS_UNAVAILABLE, left_out=0b111)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_host_that_hangs_up_gets_no_ending(world, operation):
    run = world.run({operation: lambda *_: None})

    assert run.done is None
    assert isinstance(run.error, StudyFailedError)
    assert str(run.error) == "host-protocol"


def test_host_that_hangs_up_at_once_gets_no_frame(world):
    host_end, enclave_end = socket.socketpair()
    host_end.close()

    channel = Channel(enclave_end)
    with enclave_end, pytest.raises(StudyFailedError, match="host-protocol"):
        run_job(channel, HostQuoter(channel))


def test_host_that_stops_speaking_but_listens_gets_a_signed_failure(world):
    """Half-closed in the middle of the run: the enclave can still say how it ended."""
    host_end, enclave_end = socket.socketpair()
    thread = threading.Thread(target=_run_and_close, args=(enclave_end,))
    thread.start()
    with host_end:
        host_end.settimeout(30)
        host_end.sendall(encode_frame(world.documents()))
        host_end.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: host_end.recv(1 << 16), b""))
    thread.join(30)

    ending = json.loads(said[said.rindex(b'{"op":"done"') :])
    assert ending["settlement"]["outcome"] == str(int(Outcome.FAILED))
    assert ending["settlement"]["code"] == str(int(FailureCode.HOST_PROTOCOL))


def _run_and_close(connection):
    with connection:
        channel = Channel(connection)
        run_job(channel, HostQuoter(channel))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(OPERATIONS),
    field=st.sampled_from(["challenge", "evidence", "release", "ok"]),
    value=json_values,
    body=st.binary(max_size=40),
)
def test_whatever_one_answer_holds_the_run_ends_in_a_signed_settlement(world, operation, field, value, body):
    """Property: an answer of any shape leaves hospitals out or fails the run; it never breaks the enclave."""

    def lie(_host, header, _honest):
        return {"op": operation, "ok": True, field: value}, body

    run = world.run({operation: lie})

    assert run.error is None
    assert run.settlement.kind is Outcome.FAILED
    assert run.settlement.code in {FailureCode.KEYS_UNAVAILABLE, FailureCode.INPUT_DAMAGED}
    assert run.sealed == b""
