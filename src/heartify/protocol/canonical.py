"""Canonical JSON and digests: one document, one sequence of bytes, one digest.

Documents (plans, manifests, policies, releases, results) are RFC 8785 JSON. A reader parses strictly into a typed
struct and refuses whatever would not encode back to the very bytes it read, so nobody can show two parties two
readings of one digest.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, TypeVar

import msgspec
import rfc8785

from heartify.errors import DocumentError
from heartify.protocol.nesting import check_nesting

# Patterns end in \Z, because `$` also matches before a final newline: a digest must have one spelling.
Digest = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}\Z")]
"""SHA-256 or keccak-256 digest as `0x` and 64 lower-case hex digits."""

Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{40}\Z")]
"""Account or contract address as `0x` and 40 lower-case hex digits (no checksum case: one spelling only)."""

HexBytes = Annotated[str, msgspec.Meta(pattern=r"^0x([0-9a-f]{2})*\Z")]
"""Any bytes as `0x` and lower-case hex digits."""

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


def encode_canonical(document: Any) -> bytes:
    """Encode a msgspec struct or plain JSON value as RFC 8785 bytes.

    Raises:
        DocumentError: a number beyond 2**53 or not finite, text that is no Unicode, nesting too deep, or not JSON.
    """
    try:
        return rfc8785.dumps(msgspec.to_builtins(document))
    except (rfc8785.CanonicalizationError, RecursionError, TypeError) as exc:
        raise DocumentError(f"the document has no canonical form: {exc}") from exc


def parse_canonical(data: bytes, kind: type[T]) -> T:
    """Parse canonical bytes into `kind`.

    Raises:
        DocumentError: too large, nested too deeply, not JSON, wrong or unknown fields, or not the canonical encoding.
    """
    document = parse_json(data, kind)
    if encode_canonical(document) != data:
        raise DocumentError(f"{kind.__name__} is not in canonical form", hint="encode it as RFC 8785 JSON")
    return document


def parse_json(data: bytes, kind: type[T]) -> T:
    """Parse JSON strictly into `kind`; unlike parse_canonical, white space and key order are free.

    Raises:
        DocumentError: too large, nested too deeply, not JSON, or wrong or unknown fields.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"{kind.__name__} has {len(data)} bytes, over the limit of {MAX_DOCUMENT_BYTES}")
    check_nesting(data, kind.__name__)
    try:
        return msgspec.json.decode(data, type=kind, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise DocumentError(f"not a valid {kind.__name__}: {exc}") from exc


def sha256_digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as a Digest."""
    return "0x" + hashlib.sha256(data).hexdigest()


def digest_of(document: Any) -> str:
    """Return the SHA-256 Digest of a document's canonical bytes."""
    return sha256_digest(encode_canonical(document))


def to_bytes(hex_text: str) -> bytes:
    """Decode a Digest, Address or HexBytes."""
    return bytes.fromhex(hex_text.removeprefix("0x"))


def to_hex(data: bytes) -> str:
    """Encode bytes as HexBytes."""
    return "0x" + data.hex()
