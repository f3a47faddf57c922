"""Bounds on evidence, checked before any parser of ours or of a library sees it.

Evidence comes from an untrusted host, so size, nesting and number of certificates are limited first.
Genuine evidence measures about 5 KB (quote), 20 KB (collateral), two or three certificates a chain.
This module must never interpret what it counts.
"""

from __future__ import annotations

from typing import Final

from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence

QUOTE_LIMIT_BYTES: Final = 64 * 1024
COLLATERAL_LIMIT_BYTES: Final = 256 * 1024
JSON_DEPTH_LIMIT: Final = 16
CHAIN_LIMIT_CERTIFICATES: Final = 4
_PEM_BEGIN: Final = "-----BEGIN"


def check_evidence_size(evidence: Evidence) -> None:
    """Refuse evidence whose quote or collateral is too long, before anything is parsed. Raises AttestationError."""
    if len(evidence.quote_hex) > 2 * QUOTE_LIMIT_BYTES:
        raise AttestationError(f"quote is longer than {QUOTE_LIMIT_BYTES} bytes")
    if len(evidence.collateral) > COLLATERAL_LIMIT_BYTES:
        raise AttestationError(f"collateral is longer than {COLLATERAL_LIMIT_BYTES} bytes")


def parse_quote_hex(quote_hex: str) -> bytes:
    """Decode the quote of an evidence document. Raises AttestationError when too long or not plain lower-case hex."""
    if len(quote_hex) > 2 * QUOTE_LIMIT_BYTES:
        raise AttestationError(f"quote is longer than {QUOTE_LIMIT_BYTES} bytes")
    try:
        quote = bytes.fromhex(quote_hex)
    except ValueError as exc:
        raise AttestationError("quote is not hexadecimal") from exc
    if quote.hex() != quote_hex:
        raise AttestationError("quote is not in canonical lower-case hexadecimal")
    return quote


def check_json_text(name: str, text: str, limit_bytes: int = COLLATERAL_LIMIT_BYTES) -> None:
    """Refuse JSON text that is too long or nested too deeply, without parsing it.

    Raises AttestationError. Brackets inside strings don't count.
    """
    if len(text) > limit_bytes:
        raise AttestationError(f"{name} is longer than {limit_bytes} bytes")
    depth = 0
    inside_string = False
    escaped = False
    for character in text:
        if inside_string:
            inside_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside_string = True
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if depth > JSON_DEPTH_LIMIT:
            raise AttestationError(f"{name} is nested deeper than {JSON_DEPTH_LIMIT}")


def check_pem_count(name: str, chain_pem: str) -> None:
    """Refuse a chain of more certificates than any vendor sends. Raises AttestationError."""
    if chain_pem.count(_PEM_BEGIN) > CHAIN_LIMIT_CERTIFICATES:
        raise AttestationError(f"{name} has more than {CHAIN_LIMIT_CERTIFICATES} certificates")
