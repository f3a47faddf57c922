"""A second reader of the dataset format, written from docs/reference/dataset-format.md alone.

It imports nothing of this project and no numeric library: the standard library, and AES-GCM of `cryptography`. It goes
bit by bit, so it is slow, and it refuses by the same codes in the same order. It believes a canonical manifest and
dictionary to be well-formed documents once their digests are right.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import math
import struct
from collections.abc import Callable
from fractions import Fraction

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"heartify.dataset/2"
BLOCK_ROWS, STEP = 65_536, 512
Value = float | int | str | bool | None


class RefusedError(Exception):
    """The message is the code."""


def check(holds: bool, code: str) -> None:
    if not holds:
        raise RefusedError(code)


def fields(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block of output."""
    return hmac.new(hmac.new(salt, key, hashlib.sha256).digest(), info + b"\x01", hashlib.sha256).digest()


def derive_column_key(master_key: bytes, manifest: dict, column: str) -> bytes:
    dataset, nonce = (bytes.fromhex(manifest[name][2:]) for name in ("dataset", "version_nonce"))
    return hkdf(master_key, nonce, fields(FORMAT, dataset, nonce, column.encode()))


# --- the stored form


class Form:
    """Kind, width, inclusive limits (of codes: in units of the last decimal place), decimals."""

    def __init__(self, column: dict) -> None:
        kind = column["datatype"]
        # In a file of JSON a limit may stand as 600, and means the same as 600.0.
        exact = {
            name: None if column[name] is None else Fraction(repr(column[name])) for name in ("minimum", "maximum")
        }
        low, high = exact["minimum"], exact["maximum"]
        self.decimals = 0
        if kind == "boolean":
            self.codes(0, 1)
        elif kind == "category":
            self.codes(0, len(column["levels"]) - 1)
        elif kind == "date":
            self.kind, self.width, self.low, self.high = "int32", 32, -(2**31) + 1, 2**31 - 1
        elif kind == "integer":
            if not self.short(low, high, 0):
                self.kind, self.width = "int64", 64
                self.low = -(2**53) if low is None else max(-(2**53), math.ceil(low))
                self.high = 2**53 if high is None else min(2**53, math.floor(high))
        elif column["decimals"] is None or not self.short(low, high, column["decimals"]):
            single = column["precision"] == "single"
            self.kind, self.width = ("float32", 32) if single else ("float64", 64)
            greatest = float.fromhex("0x1.fffffep+127" if single else "0x1.fffffffffffffp+1023")
            self.low = max(-greatest, -greatest if low is None else float(column["minimum"]))
            self.high = min(greatest, greatest if high is None else float(column["maximum"]))
            if single:
                self.low, self.high = struct.unpack("<2f", struct.pack("<2f", self.low, self.high))

    def short(self, low: Fraction | None, high: Fraction | None, decimals: int) -> bool:
        if low is None or high is None:
            return False
        first, last = math.ceil(low * 10**decimals), math.floor(high * 10**decimals)
        if max(abs(first), abs(last)) > 2**53 or (last - first + 1).bit_length() > 53:
            return False
        self.decimals = decimals
        self.codes(first, last)
        return True

    def codes(self, low: int, high: int) -> None:
        self.kind, self.low, self.high = "codes", low, high
        self.missing = max(0, high - low + 1)
        self.width = max(1, self.missing.bit_length())

    @property
    def tag(self) -> str:
        return f"codes {self.width} {self.low} {self.high} {self.decimals}" if self.kind == "codes" else self.kind


def unpack(data: bytes, rows: int, width: int) -> list[int]:
    """Planes, as the specification defines them, one bit field at a time."""
    codes, shift, offset = [0] * rows, 0, 0
    for bits in (64, 32, 16, 8, 4, 2, 1):
        if not width & bits:
            continue
        segment = rows // max(1, 8 // bits)
        for row in range(rows):
            if bits >= 8:
                piece = int.from_bytes(data[offset + row * bits // 8 :][: bits // 8], "little")
            else:
                piece = data[offset + row % segment] >> (bits * (row // segment)) & (2**bits - 1)
            codes[row] |= piece << shift
        shift, offset = shift + bits, offset + rows * bits // 8
    return codes


def decode(data: bytes, rows: int, form: Form) -> list[float | int | None]:
    """Return values with None for missing; codes as they are."""
    if form.kind == "codes":
        codes = unpack(data, rows, form.width)
        check(max(codes) <= form.missing, "file-values")
        return [None if code == form.missing else code for code in codes]
    letter, reserved, bits = {
        "float64": ("d", None, b"\0\0\0\0\0\0\xf8\x7f"),
        "float32": ("f", None, b"\0\0\xc0\x7f"),
        "int64": ("q", -(2**63), b""),
        "int32": ("i", -(2**31), b""),
    }[form.kind]
    size = form.width // 8
    values: list[float | int | None] = []
    for row in range(rows):
        stored = data[row * size : (row + 1) * size]
        (value,) = struct.unpack("<" + letter, stored)
        if value == reserved or stored == bits:
            values.append(None)
        else:
            check(form.low <= value <= form.high, "file-values")  # false for every other not-a-number
            values.append(value)
    return values


def meaning(value: float | None, column: dict, form: Form) -> Value:
    if value is None:
        return None
    if column["datatype"] == "category":
        return str(column["levels"][int(value)]["code"])
    if column["datatype"] == "date":
        return str(dt.date(1970, 1, 1) + dt.timedelta(int(value)))
    if column["datatype"] == "boolean":
        return bool(value)
    if form.kind != "codes":
        return value
    step = value + form.low
    return int(step) if column["datatype"] == "integer" else step / 10**form.decimals


# --- files


def read(
    manifest_bytes: bytes,
    version_id: str,
    dictionary_bytes: bytes,
    columns: list[str],
    keys: dict[str, bytes],
    fetch: Callable[[str], bytes],
) -> dict[str, list[Value]]:
    """Read columns of a version, or raise RefusedError with a code."""
    check("0x" + hashlib.sha256(manifest_bytes).hexdigest() == version_id, "manifest-digest")
    manifest = json.loads(manifest_bytes)
    check("0x" + hashlib.sha256(dictionary_bytes).hexdigest() == manifest["dictionary_digest"], "dictionary-digest")
    declared = {c["name"]: c for c in json.loads(dictionary_bytes)["columns"] if c["role"] != "id"}
    check(bool(columns) and len(set(columns)) == len(columns), "column-request")
    files = {name: [e for e in manifest["columns"] if e["column"] == name] for name in columns}
    forms = {}
    for name in columns:
        check(name in declared and bool(files[name]), "column-unknown")
        check(len(keys.get(name, b"")) == 32, "key-missing")
        forms[name] = Form(declared[name])
        for entry in files[name]:
            check(entry["size"] == file_size(entry["padded_rows"], forms[name].width), "file-size")
    table: dict[str, list[Value]] = {name: [] for name in columns}
    total = 0
    for part in range(len(files[columns[0]])):
        counts = set()
        for name in columns:
            entry = sorted(files[name], key=lambda e: e["part"])[part]
            values = read_file(manifest, entry, forms[name], keys[name], fetch, part + 1 == len(files[name]))
            table[name] += [meaning(value, declared[name], forms[name]) for value in values]
            counts.add(len(values))
        check(len(counts) == 1, "row-alignment")
        total += counts.pop()
    check((0 if total < 10 else (total + 2) // 5 * 5) == manifest["rows_rounded"], "row-count")
    return table


def file_size(padded_rows: int, width: int) -> int:
    return 8 + 32 + 8 + 16 + padded_rows * width // 8 + 16 * -(-padded_rows // BLOCK_ROWS)


def read_file(
    manifest: dict, entry: dict, form: Form, key: bytes, fetch: Callable[[str], bytes], is_last_part: bool
) -> list[float | int | None]:
    data, padded = fetch(entry["digest"][2:]), entry["padded_rows"]
    check(len(data) == entry["size"], "file-size")
    check("0x" + hashlib.sha256(data).hexdigest() == entry["digest"], "file-digest")
    check(data[:8] == b"HFYCOL2\0", "file-magic")
    cipher = AESGCM(hkdf(key, data[8:40], fields(FORMAT, b"file key")))
    dataset, nonce = (bytes.fromhex(manifest[name][2:]) for name in ("dataset", "version_nonce"))

    def open_message(number: int, sealed: bytes, last: bool) -> bytes:
        aad = fields(
            FORMAT, dataset, nonce, entry["column"].encode(), struct.pack(">I", entry["part"]),
            struct.pack(">Q", number), bytes([last]), form.tag.encode(),
        )  # fmt: skip
        try:
            return cipher.decrypt(struct.pack(">IQ", 0, number), sealed, aad)
        except InvalidTag as exc:
            raise RefusedError("file-decryption") from exc

    (rows,) = struct.unpack("<Q", open_message(0, data[40:64], False))
    check(max(1, -(-rows // STEP)) * STEP == padded and (is_last_part or rows == padded), "file-rows")
    values: list[float | int | None] = []
    offset, number = 64, 0
    while len(values) < padded:
        count = min(BLOCK_ROWS, padded - len(values))
        end, number = offset + count * form.width // 8 + 16, number + 1
        block = open_message(number, data[offset:end], len(values) + count == padded)
        decoded = decode(block, count, form)
        known = max(0, rows - len(values))
        check(all(value is None for value in decoded[known:]), "file-padding")
        values += decoded
        offset = end
    return values[:rows]
