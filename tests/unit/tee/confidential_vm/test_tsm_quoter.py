"""The quoter inside a confidential VM, on a fake of the kernel's interface, in memory and as a mounted file system."""

# Errors of the kernel are told apart by their number, which each test looks at.
# ruff: noqa: PT011

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fake_tsm import FakeTsm
from fuse_tsm import can_mount, mounted
from guest_evidence import GUIDS, LAUNCH, REGISTERS, certificates, snp_report, table_of, tdx_quoter

from heartify.attestation.simulated import SimulatedPlatform
from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.quoting.tsm import TSM_FOLDER, KernelFiles, TsmQuoter, read_report
from heartify.enclave.quoting.tsm_blobs import certificates_of_table, cut_snp_report, cut_tdx_quote
from heartify.errors import AttestationError
from heartify.protocol.evidence import TeeKind
from heartify.protocol.frames import encode_frame, read_frame, receive_exactly

REPORT_DATA = bytes(range(64))


@pytest.fixture(scope="session")
def platform():
    return SimulatedPlatform.create(1_795_000_000)


@pytest.fixture
def tdx(platform):
    return lambda **options: FakeTsm("tdx_guest", tdx_quoter(platform), **options)


def snp(**options):
    return FakeTsm("sev_guest", snp_report, **options)


@pytest.fixture(params=["in memory", "mounted"])
def use(request):
    """Return a function that gives a fake's files and folder: the port's fake, or the kernel's calls on a mount."""
    if request.param == "in memory":
        yield lambda tsm: (tsm, "/tsm")
        return
    if not can_mount():
        pytest.skip("mounting needs root and /dev/fuse")
    with contextlib.ExitStack() as stack:
        yield lambda tsm: (KernelFiles(), str(stack.enter_context(mounted(tsm))))


# ---- the contract of the interface, which the fake and the kernel share


def check_contract(files, folder: str) -> None:
    entry = f"{folder}/heartify-contract-{os.getpid()}"
    files.mkdir(entry)
    try:
        assert files.read(f"{entry}/generation").strip() == b"0"
        for attribute, call in (("inblob", files.read), ("outblob", lambda path: files.write(path, b"x"))):
            with pytest.raises(OSError) as refused:
                call(f"{entry}/{attribute}")
            assert refused.value.errno == errno.EACCES
        with pytest.raises(OSError):
            files.read(f"{entry}/outblob")  # nothing was asked yet
        with pytest.raises(OSError) as twice:
            files.mkdir(entry)
        assert twice.value.errno == errno.EEXIST
        files.write(f"{entry}/inblob", REPORT_DATA)
        assert files.read(f"{entry}/generation").strip() == b"1"
        assert files.read(f"{entry}/provider").strip() in {b"tdx_guest", b"sev_guest"}
        assert REPORT_DATA in files.read(f"{entry}/outblob")
    finally:
        files.rmdir(entry)
    with pytest.raises(OSError) as gone:
        files.read(f"{entry}/generation")
    assert gone.value.errno == errno.ENOENT


@pytest.mark.parametrize("kind", ["tdx", "snp"])
def test_fake_keeps_the_contract(use, tdx, kind):
    check_contract(*use(tdx() if kind == "tdx" else snp()))


@pytest.mark.skipif(not Path(TSM_FOLDER).is_dir(), reason="this machine is no TDX or SEV-SNP guest with configfs-tsm")
def test_kernel_keeps_the_contract():
    check_contract(KernelFiles(), TSM_FOLDER)


# ---- reading a report


@pytest.mark.parametrize("padding", [0, 70, 8000])
def test_tdx_quote_is_cut_at_its_own_length(use, tdx, padding, platform):
    files, folder = use(tsm := tdx(padding=padding))

    report = read_report(files, folder, REPORT_DATA)

    assert report.tee_kind is TeeKind.TDX
    assert len(report.quote) == len(platform.quote_launch(LAUNCH, REPORT_DATA))
    assert (tsm.entries, tsm.made, report.certificates) == ({}, 1, "")


def test_snp_report_comes_with_the_certificates_that_the_host_gave(use):
    files, folder = use(tsm := snp(table=table_of(certificates())))

    report = read_report(files, folder, REPORT_DATA)

    assert (report.tee_kind, len(report.quote)) == (TeeKind.SEV_SNP, 1184)
    names = [item.subject.rfc4514_string() for item in x509.load_pem_x509_certificates(report.certificates.encode())]
    assert [name.split("CN=")[1].split(",")[0] for name in names] == ["SEV-VCEK", "SEV-Milan", "ARK-Milan"]
    assert tsm.entries == {}


def test_snp_report_without_certificates_is_a_report(use):
    files, folder = use(snp())

    assert read_report(files, folder, REPORT_DATA).certificates == ""


def test_disturbed_and_busy_answers_are_asked_for_again(use, tdx):
    files, folder = use(tsm := tdx(disturbances=2, failures=[errno.EBUSY, errno.EINTR]))

    report = read_report(files, folder, REPORT_DATA)

    assert REPORT_DATA in report.quote
    assert tsm.made == 3
    assert (tsm.disturbances, tsm.failures, tsm.entries) == (0, [], {})


def test_permanent_disturbance_ends_after_a_few_attempts(use, tdx):
    files, folder = use(tsm := tdx(disturbances=99))

    with pytest.raises(OSError, match="every attempt"):
        read_report(files, folder, REPORT_DATA)
    assert (tsm.made, tsm.entries) == (5, {})


@pytest.mark.parametrize("number", [errno.EFBIG, errno.EINVAL, errno.EIO, errno.ENXIO])
def test_other_errors_end_at_once_and_leave_no_entry(use, tdx, number):
    files, folder = use(tsm := tdx(failures=[number]))

    with pytest.raises(OSError) as refused:
        read_report(files, folder, REPORT_DATA)
    assert refused.value.errno == number
    assert (tsm.made, tsm.entries) == (1, {})


def test_report_longer_than_the_kernel_s_limit_is_too_big(use, tdx):
    files, folder = use(tsm := tdx(padding=40_000))

    with pytest.raises(OSError) as refused:
        read_report(files, folder, REPORT_DATA)
    assert (refused.value.errno, tsm.entries) == (errno.EFBIG, {})


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_size_are_not_asked_for(tdx, size):
    tsm = tdx()

    with pytest.raises(AttestationError, match="64 bytes"):
        read_report(tsm, "/tsm", bytes(size))
    assert tsm.made == 0


def test_unknown_provider_is_refused():
    with pytest.raises(AttestationError, match="arm_cca"):
        read_report(FakeTsm("arm_cca_guest", snp_report), "/tsm", REPORT_DATA)


def test_entry_that_can_not_be_removed_costs_no_answer(tdx):
    class Sticky(FakeTsm):
        def rmdir(self, path):
            raise OSError(errno.EBUSY, path)

    sticky = Sticky("tdx_guest", tdx().quote)

    assert read_report(sticky, "/tsm", REPORT_DATA).tee_kind is TeeKind.TDX


def test_generation_that_is_no_number_is_an_error(tdx):
    class Strange(FakeTsm):
        def read(self, path):
            return b"many\n" if path.endswith("generation") else super().read(path)

    with pytest.raises(OSError, match="no number"):
        read_report(Strange("tdx_guest", tdx().quote), "/tsm", REPORT_DATA)


# ---- blobs


def test_blob_with_something_after_the_quote_is_refused(platform):
    quote = platform.quote_launch(LAUNCH, REPORT_DATA)

    assert cut_tdx_quote(quote + bytes(39), REPORT_DATA) == quote
    for blob in (quote + b"\x01", quote + bytes(70) + b"\x01", quote[:-1], quote[:600], b"", b"\x05" + quote[1:]):
        with pytest.raises(AttestationError):
            cut_tdx_quote(blob, REPORT_DATA)
    with pytest.raises(AttestationError, match="another question"):
        cut_tdx_quote(quote, REPORT_DATA[::-1])


def test_zeros_that_belong_to_the_quote_stay(platform):
    quote = bytearray(platform.quote_launch(LAUNCH, REPORT_DATA)) + bytes(5)
    struct.pack_into("<I", quote, 632, len(quote) - 636)

    assert cut_tdx_quote(bytes(quote) + bytes(70), REPORT_DATA) == bytes(quote)


def test_report_of_another_question_or_length_is_refused():
    blob = snp_report(REPORT_DATA)

    assert cut_snp_report(blob + bytes(3), REPORT_DATA) == blob
    for bad in (blob[:-1], blob + b"\x01", b""):
        with pytest.raises(AttestationError, match="shorter or longer"):
            cut_snp_report(bad, REPORT_DATA)
    with pytest.raises(AttestationError, match="another question"):
        cut_snp_report(blob, REPORT_DATA[::-1])


def test_certificates_may_be_pem_in_the_table():
    der = certificates()
    pem = {guid: x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for guid, one in der.items()}

    assert certificates_of_table(table_of(pem)) == certificates_of_table(table_of(der)) != ""


def test_guid_s_bytes_are_in_the_order_of_its_text():
    swapped = {str(uuid.UUID(bytes=uuid.UUID(guid).bytes_le)): der for guid, der in certificates().items()}

    assert certificates_of_table(table_of(swapped)) == ""


@pytest.mark.parametrize(
    "table",
    [
        b"",
        bytes(4096),
        b"\x01" * 23,
        table_of({GUIDS["VCEK"]: b""}),
        table_of({GUIDS["VCEK"]: b"x"})[:40],
        table_of({str(uuid.uuid4()): b"x" for _ in range(17)}),
        table_of(certificates(), end=False)[: 24 * 3],
    ],
)
def test_malformed_table_gives_no_certificates(table):
    assert certificates_of_table(table) == ""


# ---- evidence: what the host is asked, and what it may answer


def ask(tsm, reply, asked=None):
    """Run the quoter in a thread against a host that answers with `reply`; return evidence or the error."""
    inside, outside = socket.socketpair()
    result = []

    def run():
        try:
            result.append(TsmQuoter(Channel(inside), tsm, "/tsm").evidence(REPORT_DATA))
        except StudyFailedError as exc:
            result.append(exc)
        inside.close()

    thread = threading.Thread(target=run)
    thread.start()
    with outside:
        outside.settimeout(10)
        try:
            header, _ = read_frame(lambda count: receive_exactly(outside.recv, count))
            (asked if asked is not None else []).append(header)
            outside.sendall(encode_frame({"op": "collateral", **reply}))
        except EOFError:
            (asked if asked is not None else []).append(None)
        thread.join(10)
    return result[0]


def test_evidence_is_the_kernel_s_quote_and_the_host_s_collateral(tdx):
    asked = []

    evidence = ask(tdx(padding=70), {"ok": True, "collateral": "{}"}, asked)

    assert (evidence.tee_kind, evidence.collateral) == ("tdx", "{}")
    assert asked[0]["quote"] == evidence.quote_hex
    assert all(register.hex() in evidence.quote_hex for register in REGISTERS)
    assert (asked[0]["tee_kind"], asked[0]["certificates"]) == ("tdx", "")


def test_host_gets_amd_s_certificates_for_its_own_use():
    asked = []

    evidence = ask(snp(table=table_of(certificates())), {"ok": True, "collateral": "{}"}, asked)

    assert evidence.tee_kind == "sev-snp"
    assert asked[0]["certificates"].count("BEGIN CERTIFICATE") == 3


def test_host_without_collateral_leaves_no_evidence(tdx):
    assert ask(tdx(), {"ok": False}) is None


def test_collateral_that_is_no_text_breaks_the_protocol(tdx):
    assert isinstance(ask(tdx(), {"ok": True, "collateral": 7}), StudyFailedError)


def test_kernel_that_refuses_leaves_no_evidence_and_asks_the_host_nothing(tdx):
    asked = []

    assert ask(tdx(failures=[errno.EFBIG]), {}, asked) is None
    assert asked == [None]
