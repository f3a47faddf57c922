"""The export: a stream that is signed, canonical, complete, and read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.export import read_entries, read_header
from heartify.broker.audit.verification import verify_log
from heartify.errors import DocumentError, IntegrityError, UsageError
from heartify.protocol.canonical import encode_canonical


@pytest.fixture
def export(log):
    log.fill(8)
    return log.export()[1]


def read(data: bytes):
    stream = io.BytesIO(data)
    header = read_header(stream)
    return header, list(read_entries(stream, header))


def test_an_export_holds_the_log_and_says_what_it_is(log, export):
    header, entries = read(export)

    assert entries == log.entries()
    assert (header.broker, header.chain_id, header.registry) == (log.broker, 31337, log.domain.contract)
    assert (header.first, header.last, header.head) == (1, 8, entries[-1].digest)
    header.anchor.verify()
    verify_log(entries).check()


def test_the_signature_is_eth_accounts_under_the_registrys_domain(log, export):
    header, _ = read(export)
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "AuditAnchor": [
                {"name": "broker", "type": "address"},
                {"name": "sequence", "type": "uint256"},
                {"name": "head", "type": "bytes32"},
            ],
        },
        "primaryType": "AuditAnchor",
        "domain": {
            "name": "Heartify",
            "version": "1",
            "chainId": header.chain_id,
            "verifyingContract": header.registry,
        },
        "message": {"broker": header.broker, "sequence": header.last, "head": header.head},
    }

    signer = Account.recover_message(encode_typed_data(full_message=typed), signature=header.signature)

    assert signer.lower() == log.broker


def test_another_key_than_the_brokers_does_not_sign_for_it(export):
    header, _ = read(export)
    forged = msgspec.structs.replace(header, broker="0x" + "99" * 20)

    with pytest.raises(IntegrityError, match="the audit anchor is signed by"):
        forged.anchor.verify()


def test_an_excerpt_begins_with_the_first_entry_of_a_time(log):
    log.fill(8)
    since = log.entries()[4].time

    header, entries = read(log.export(since=since)[1])

    assert (header.first, header.last) == (5, 8)
    assert [entry.sequence for entry in entries] == [5, 6, 7, 8]
    verify_log(entries).check()


def test_an_excerpt_of_nothing_and_an_export_of_nothing_are_refused(log):
    with pytest.raises(UsageError, match="the audit log is empty"):
        log.export()
    log.fill(1)
    with pytest.raises(UsageError, match="no entry since then"):
        log.export(since=log.clock.now + 100)


def test_entries_after_the_head_that_was_signed_are_not_in_the_export(log):
    log.fill(3)

    class Growing(io.BytesIO):
        """A slow reader: while it reads the header, the broker goes on."""

        def write(self, data: bytes) -> int:
            if b"audit-log/1" in data:
                log.append(AuditEvent.RESUMED)
            return super().write(data)

    from heartify.broker.audit.export import write_export

    out = Growing()
    write_export(log.engine, out, broker=log.broker, domain=log.domain, sign=log.sign)

    assert len(read(out.getvalue())[1]) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"patient,age\n",
        b"[" * 5_000 + b"\n",
        b'{"format":"heartify.audit-log/2"}\n',
        b"\xff\n",
        b"x" * 70_000,
    ],
    ids=["empty", "no fields", "csv", "nested", "another format", "no text", "endless"],
)
def test_a_file_of_another_kind_is_no_export(data):
    with pytest.raises(DocumentError, match="not an export of an audit log"):
        read_header(io.BytesIO(data))


def lines_of(export: bytes) -> list[bytes]:
    return export.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "the export ends at entry 7, its header says 8"),
        (lambda lines: lines[:1], "the export ends at entry 0, its header says 8"),
        (lambda lines: [lines[0], *lines[2:]], "the export begins with entry 2, its header says 1"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "line 9, entry 8, was altered: a line is cut off"),
        (lambda lines: [*lines[:3], lines[3].replace(b'":', b'": ', 1), *lines[4:]], "line 4, entry 3, .*canonical"),
        (lambda lines: [*lines[:3], b'{"sequence":3}\n', *lines[4:]], "line 4, entry 3, was altered"),
        (
            lambda lines: [*lines[:3], lines[3].replace(b"release-refused", b"release-denied"), *lines[4:]],
            "line 4, entry 3",
        ),
        (lambda lines: [*lines[:3], b"x" * 20_000 + b"\n", *lines[4:]], "over 16384 bytes"),
        (lambda lines: [*lines, b"\n"], "line 10, entry 9"),
    ],
)
def test_a_damaged_export_names_the_place(export, change, message):
    with pytest.raises(IntegrityError, match=message):
        read(b"".join(change(lines_of(export))))


def test_a_header_over_another_head_is_refused(log, export):
    header, _ = read(export)
    other = msgspec.structs.replace(header, head="0x" + "12" * 32)
    data = encode_canonical(other) + b"\n" + b"".join(lines_of(export)[1:])

    with pytest.raises(IntegrityError, match="entry 8 has not the digest that the broker signed"):
        read(data)


# docs/reference/audit-log.md, "By hand"


def test_the_chain_can_be_checked_by_hand_with_nothing_of_ours(export):
    """The recipe of the reference page: drop `digest`, write the keys in order without blanks, hash."""
    previous = "0x" + "00" * 32
    for line in export.decode().splitlines()[1:]:
        entry = json.loads(line)
        digest = entry.pop("digest")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

        assert digest == "0x" + hashlib.sha256(text.encode()).hexdigest()
        assert entry["previous"] == previous
        previous = digest


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("sha256sum")), reason="jq and sha256sum are not here")
def test_the_commands_of_the_page_give_the_digest(log, export, tmp_path):
    log.append(AuditEvent.PAUSED, reason='Ärger: "odd" \\ requests / 心')
    path = tmp_path / "log.jsonl"
    path.write_bytes(log.export()[1])
    for number, entry in enumerate(log.entries(), 2):
        command = f"sed -n {number}p {path} | jq -cSj 'del(.digest)' | sha256sum"

        shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout

        assert "0x" + shown.split()[0] == entry.digest
