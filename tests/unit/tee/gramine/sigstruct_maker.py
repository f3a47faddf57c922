"""Makes SIGSTRUCTs from the table of Intel's SDM (volume 3D), with a real signature; any field can be made wrong."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

PRODUCTION_FLAGS = 0x04
# Gramine's mask: all but the bits that a platform may differ in.
FLAGS_MASK = 0xFFFF_FFFF_FFFF_FFFF
FIELDS = {
    "header": (0, "16s"),
    "vendor": (16, "<I"),
    "date": (20, "<I"),
    "header2": (24, "16s"),
    "swdefined": (40, "<I"),
    "reserved1": (44, "84s"),
    "modulus": (128, "384s"),
    "exponent": (512, "<I"),
    "signature": (516, "384s"),
    "miscselect": (900, "<I"),
    "miscmask": (904, "<I"),
    "isvfamilyid": (912, "16s"),
    "flags": (928, "<Q"),
    "xfrm": (936, "<Q"),
    "flags_mask": (944, "<Q"),
    "xfrm_mask": (952, "<Q"),
    "enclavehash": (960, "32s"),
    "reserved3": (992, "16s"),
    "isvextprodid": (1008, "16s"),
    "isvprodid": (1024, "<H"),
    "isvsvn": (1026, "<H"),
    "reserved4": (1028, "12s"),
    "q1": (1040, "384s"),
    "q2": (1424, "384s"),
}


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=3, key_size=3072)


def make_sigstruct(key: rsa.RSAPrivateKey, enclave_hash: bytes, **fields: object) -> bytes:
    """Sign a SIGSTRUCT; `fields` replace values before the signature is made."""
    values: dict[str, object] = {
        "header": bytes.fromhex("06000000E10000000000010000000000"),
        "header2": bytes.fromhex("01010000600000006000000001000000"),
        "date": 0x20261122,
        "exponent": 3,
        "flags": PRODUCTION_FLAGS,
        "flags_mask": FLAGS_MASK,
        "xfrm": 0x03,
        "xfrm_mask": 0xFFFF_FFFF_FFF9_FF1B,
        "miscmask": 0xFFFF_FFFF,
        "enclavehash": enclave_hash,
        "isvprodid": 0x4846,
        "isvsvn": 64,
        **fields,
    }
    data = bytearray(1808)
    for name, value in values.items():
        offset, form = FIELDS[name]
        struct.pack_into(form, data, offset, value)
    modulus = key.public_key().public_numbers().n
    signed = bytes(data[:128] + data[900:1028])
    signature = int.from_bytes(key.sign(signed, padding.PKCS1v15(), SHA256()), "big")
    square = signature * signature
    for name, number in (
        ("modulus", modulus),
        ("signature", signature),
        ("q1", square // modulus),
        ("q2", signature * (square % modulus) // modulus),
    ):
        data[FIELDS[name][0] : FIELDS[name][0] + 384] = number.to_bytes(384, "little")
    return bytes(data)


def replace_field(sigstruct: bytes, name: str, value: object) -> bytes:
    """Change a field after the signature was made."""
    offset, form = FIELDS[name]
    data = bytearray(sigstruct)
    struct.pack_into(form, data, offset, value)
    return bytes(data)
