"""The handful of DER encodings that Intel's PCK certificate extension needs (ITU-T X.690).

It encodes only; nothing here parses what a stranger sent.
"""

from __future__ import annotations


def encode_tlv(tag: int, content: bytes) -> bytes:
    """Encode tag, definite length and content."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    length_bytes = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length_bytes)]) + length_bytes + content


def encode_oid(dotted: str) -> bytes:
    """Encode an object identifier such as `1.2.840.113741.1.13.1`."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    encoded = bytes([first * 40 + second])
    for arc in rest:
        encoded += _encode_base128(arc)
    return encode_tlv(0x06, encoded)


def encode_integer(value: int) -> bytes:
    """Encode a whole number that is not negative."""
    return encode_tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encode_octets(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return encode_tlv(0x04, value)


def encode_enumerated(value: int) -> bytes:
    """Encode an ENUMERATED below 128."""
    return encode_tlv(0x0A, bytes([value]))


def encode_boolean(value: bool) -> bytes:
    """Encode a BOOLEAN."""
    return encode_tlv(0x01, b"\xff" if value else b"\x00")


def encode_sequence(*items: bytes) -> bytes:
    """Encode a SEQUENCE of encoded items."""
    return encode_tlv(0x30, b"".join(items))


def _encode_base128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | (value & 0x7F))
    return bytes(reversed(groups))
