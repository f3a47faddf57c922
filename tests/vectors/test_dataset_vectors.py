"""The committed dataset version, read by our reader and by an independent one written from the format document."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from heartify.cohort.encrypted.column_crypto import column_keys, file_aad_prefix
from heartify.cohort.encrypted.reader import read_columns
from heartify.errors import IntegrityError
from heartify.protocol.dictionary import parse_dictionary
from heartify.protocol.manifest import parse_manifest

HERE = Path(__file__).parent / "dataset"
VECTOR: dict[str, Any] = json.loads((HERE / "vector.json").read_text(encoding="utf-8"))
MANIFEST = parse_manifest((HERE / "manifest.json").read_bytes(), VECTOR["version_id"])
DICTIONARY = parse_dictionary((HERE / "dictionary.json").read_bytes())
COLUMNS = list(VECTOR["columns"])
NUMERIC = {"number": ("<d", 8), "integer": ("<q", 8), "boolean": ("<i", 4), "category": ("<i", 4), "date": ("<i", 4)}
MISSING = {"integer": -(2**63), "boolean": -1, "category": -1, "date": -(2**31)}


def fetch(file: str) -> bytes:
    return (HERE / file).read_bytes()


def expected_numbers(name: str) -> list[float | None]:
    column = DICTIONARY.column(name)
    convert = {
        "category": column.level_codes.index,
        "date": lambda value: (dt.date.fromisoformat(value) - dt.date(1970, 1, 1)).days,
    }.get(column.datatype, lambda value: value)
    return [None if value is None else convert(value) for value in VECTOR["columns"][name]["values"]]


def test_the_manifest_is_named_by_its_digest_and_commits_to_the_dictionary() -> None:
    assert VECTOR["version_id"] == "0x" + hashlib.sha256((HERE / "manifest.json").read_bytes()).hexdigest()
    assert MANIFEST.dictionary_digest == "0x" + hashlib.sha256((HERE / "dictionary.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", COLUMNS)
def test_keys_and_bindings_are_those_of_the_vector(name: str) -> None:
    dataset, nonce = bytes.fromhex(VECTOR["dataset"]), bytes.fromhex(VECTOR["version_nonce"])

    key = column_keys(bytes.fromhex(VECTOR["master_key"]), MANIFEST)[name]
    prefixes = {
        str(part): file_aad_prefix(dataset=dataset, version_nonce=nonce, column=name, part=part).hex()
        for part in (0, 1)
    }

    assert key.hex() == VECTOR["columns"][name]["key"]
    assert prefixes == VECTOR["columns"][name]["aad_prefix_of_part"]


def test_our_reader_reads_the_vector() -> None:
    keys = {name: bytes.fromhex(VECTOR["columns"][name]["key"]) for name in COLUMNS}

    arrays = read_columns(MANIFEST, DICTIONARY, COLUMNS, keys, fetch)

    for name in COLUMNS:
        category = DICTIONARY.column(name).datatype == "category"
        read = [None if (v == -1 if category else v != v) else v for v in arrays[name].tolist()]
        assert read == expected_numbers(name)


def derive_key(name: str) -> bytes:
    """HKDF (RFC 5869) by hand, from the format document alone."""
    fields = (
        b"heartify.dataset/1",
        bytes.fromhex(VECTOR["dataset"]),
        bytes.fromhex(VECTOR["version_nonce"]),
        name.encode(),
    )
    info = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    extracted = hmac.new(bytes.fromhex(VECTOR["version_nonce"]), bytes.fromhex(VECTOR["master_key"]), hashlib.sha256)
    return hmac.new(extracted.digest(), info + b"\x01", hashlib.sha256).digest()


def decrypt_module(data: bytes, offset: int, key: bytes, aad: bytes) -> tuple[bytes, int]:
    """Decrypt one module of Parquet modular encryption: length (4, little endian), nonce (12), ciphertext, tag (16)."""
    (length,) = struct.unpack_from("<I", data, offset)
    module = data[offset + 4 : offset + 4 + length]
    return AESGCM(key).decrypt(module[:12], module[12:], aad), offset + 4 + length


@pytest.mark.parametrize("name", COLUMNS)
def test_an_independent_reader_reads_the_vector(name: str) -> None:
    """No Parquet library: magic, footer, page header and page are walked by hand; only AES-GCM is borrowed."""
    (entry,) = MANIFEST.files_of(name)
    data, key, datatype = fetch(entry.object_name), derive_key(name), DICTIONARY.column(name).datatype
    prefix = bytes.fromhex(VECTOR["columns"][name]["aad_prefix_of_part"]["0"])
    (footer_length,) = struct.unpack("<I", data[-8:-4])
    crypto = data[len(data) - 8 - footer_length :]
    # FileCryptoMetaData in compact Thrift: AES_GCM_V1 { 2: aad_file_unique (8 bytes), 3: supply_aad_prefix = true }
    assert crypto[:4] == b"\x1c\x1c\x28\x08"
    assert crypto[12:16] == b"\x11\x00\x00\x00"
    unique = crypto[4:12]

    footer, end = decrypt_module(crypto, 16, key, prefix + unique + b"\x00")
    page_place = struct.pack("<HHH", 0, 0, 0)
    _, offset = decrypt_module(data, 4, key, prefix + unique + b"\x04" + page_place)
    page, _ = decrypt_module(data, offset, key, prefix + unique + b"\x02" + page_place)

    assert crypto[end + 4 :] == b"PARE"
    assert b"heartify.rows" in footer
    assert b"00000000000000000004" in footer
    form, width = NUMERIC[datatype]
    assert len(page) == 512 * width
    stored = [value for (value,) in struct.iter_unpack(form, page)]
    values = [None if value != value or value == MISSING.get(datatype) else value for value in stored]
    assert values[:4] == expected_numbers(name)
    assert values[4:] == [None] * 508


@pytest.mark.parametrize("case", VECTOR["negative"], ids=lambda case: case["name"])
def test_a_negative_vector_fails_with_its_code(case: dict[str, Any]) -> None:
    name = case["column"]
    (entry,) = MANIFEST.files_of(name)
    (source,) = MANIFEST.files_of(case.get("file_of", name))
    data = bytearray(fetch(source.object_name))
    if "flip" in case:
        data[case["flip"]] ^= 1
    faulty = bytes(data[: case.get("keep")])
    manifest = MANIFEST
    if case["manifest_agrees"]:
        declared = msgspec.structs.replace(entry, size=len(faulty), digest="0x" + hashlib.sha256(faulty).hexdigest())
        columns = tuple(declared if other == entry else other for other in MANIFEST.columns)
        manifest = msgspec.structs.replace(MANIFEST, columns=columns)
    key = bytes.fromhex(VECTOR["columns"][case.get("key_of", name)]["key"])

    with pytest.raises(IntegrityError, match=f"^{case['code']}:"):
        read_columns(manifest, DICTIONARY, [name], {name: key}, {entry.object_name: faulty}.__getitem__)
