"""The quoter inside Gramine, against files that behave as Gramine's and against hosts that lie."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.verifier import verify
from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.quoting.gramine import GramineQuoter, read_quote
from heartify.errors import AttestationError
from heartify.protocol.frames import encode_frame, read_frame, receive_exactly
from heartify.protocol.outcomes import FailureCode

from .fake_attestation import FakeAttestation

REPORT_DATA = bytes(range(64))
MEASUREMENT = b"\x07" * 32


@pytest.fixture
def attestation(tmp_path):
    """Return a function that starts one /dev/attestation."""

    def open_one(quote_of, **options):
        fake = FakeAttestation(tmp_path / "attestation", quote_of, **options)
        fake.start()
        return fake

    return open_one


class Host:
    """The host's end of a channel: answers one request with what it was told to, and keeps the request."""

    def __init__(self, reply):
        self.asked = None
        self._reply = reply
        self._end, enclave_end = socket.socketpair()
        self._enclave_end = enclave_end
        self.channel = Channel(enclave_end)

    def __enter__(self):
        threading.Thread(target=self._answer, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._enclave_end.close()
        self._end.close()

    def _answer(self):
        try:
            self.asked, _ = read_frame(lambda count: receive_exactly(self._end.recv, count))
            self._end.sendall(encode_frame(self._reply))
        except (EOFError, OSError):
            pass


def ask(attestation_folder, reply, report_data=REPORT_DATA):
    with Host(reply) as host:
        return GramineQuoter(host.channel, str(attestation_folder)).evidence(report_data), host.asked


COLLATERAL = {"op": "collateral", "ok": True, "collateral": "the host's text"}


def test_evidence_is_the_enclaves_own_quote_and_the_hosts_collateral(attestation, platform):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))

    evidence, asked = ask(fake.folder, COLLATERAL)

    assert evidence.tee_kind == "sgx"
    assert bytes.fromhex(evidence.quote_hex)[48 + 64 : 48 + 96] == MEASUREMENT
    assert bytes.fromhex(evidence.quote_hex)[48 + 320 : 48 + 384] == REPORT_DATA
    assert evidence.collateral == "the host's text"
    assert asked == {"op": "collateral", "tee_kind": "sgx", "quote": evidence.quote_hex}


def test_each_question_gets_a_quote_of_its_own(attestation, platform):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))

    quotes = [read_quote(str(fake.folder), bytes([number]) * 64) for number in range(3)]

    assert [quote[368:432] for quote in quotes] == [bytes([number]) * 64 for number in range(3)]
    assert fake.written == [bytes([number]) * 64 for number in range(3)]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4096, 8192])
def test_short_reads_are_put_together(attestation, platform, chunk_bytes):
    quote = platform.quote(MEASUREMENT, REPORT_DATA)
    fake = attestation(lambda data: quote, chunk_bytes=chunk_bytes)

    assert read_quote(str(fake.folder), REPORT_DATA) == quote


def test_the_buffers_zeros_behind_the_quote_are_cut(attestation, platform):
    quote = platform.quote(MEASUREMENT, REPORT_DATA)
    fake = attestation(lambda data: quote.ljust(8192, b"\0"))

    assert read_quote(str(fake.folder), REPORT_DATA) == quote


def test_the_verifier_refuses_a_simulated_quote_that_claims_to_be_of_hardware(attestation, platform):
    """The root decides: under no policy does this evidence pass as SGX."""
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))
    collateral = platform.collateral(1_790_000_000)
    evidence, _ = ask(fake.folder, {**COLLATERAL, "collateral": collateral})
    expectations = {"expected_report_data": REPORT_DATA, "reference_measurements": frozenset({MEASUREMENT})}

    with pytest.raises(AttestationError):
        verify(evidence, PRODUCTION_POLICY, 1_790_000_000, **expectations)
    with pytest.raises(AttestationError, match="sgx"):
        verify(evidence, unsafe_simulation_policy(platform.root_der), 1_790_000_000, **expectations)


def stale(quote):
    return lambda _data: quote


def cut(quote):
    return lambda _data: quote[:-1]


def long_tail(quote):
    return lambda _data: quote + b"\0\0\1"


def longer_than_said(quote):
    return lambda _data: quote[:432] + struct.pack("<I", 9000) + quote[436:]


def other_version(quote):
    return lambda _data: b"\x04" + quote[1:]


def nothing(_quote):
    return lambda _data: b""


def endless(_quote):
    return lambda _data: bytes(100_000)


@pytest.mark.parametrize("answer", [stale, cut, long_tail, longer_than_said, other_version, nothing, endless])
def test_a_quote_that_is_none_or_for_another_question_is_refused(attestation, platform, answer):
    report_data = b"\x01" * 64 if answer is stale else REPORT_DATA
    fake = attestation(answer(platform.quote(MEASUREMENT, report_data)))

    with pytest.raises(AttestationError):
        read_quote(str(fake.folder), REPORT_DATA)


@pytest.mark.parametrize("kind", ["epid", "none", "dcap2", ""])
def test_another_scheme_than_dcap_is_refused_before_anything_is_written(attestation, platform, kind):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data), kind=kind)

    with pytest.raises(AttestationError, match="expected dcap"):
        read_quote(str(fake.folder), REPORT_DATA)
    assert fake.written == []


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_report_data_of_another_size_never_reach_the_processor(attestation, platform, length):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))

    with pytest.raises(AttestationError, match="64 bytes"):
        read_quote(str(fake.folder), bytes(length))
    assert fake.written == []


def test_without_attestation_there_is_no_evidence_and_the_host_is_not_asked(tmp_path):
    evidence, asked = ask(tmp_path / "nothing", COLLATERAL)

    assert evidence is None
    assert asked is None


def test_a_host_without_collateral_leaves_no_evidence(attestation, platform):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))

    evidence, _ = ask(fake.folder, {"op": "collateral", "ok": False})

    assert evidence is None


@pytest.mark.parametrize("collateral", [None, 7, {"tcb_info": 1}, ["x"]])
def test_collateral_that_is_no_text_ends_the_run(attestation, platform, collateral):
    fake = attestation(lambda data: platform.quote(MEASUREMENT, data))

    with pytest.raises(StudyFailedError) as failed:
        ask(fake.folder, {**COLLATERAL, "collateral": collateral})
    assert failed.value.code is FailureCode.HOST_PROTOCOL
