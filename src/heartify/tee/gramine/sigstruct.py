"""SIGSTRUCT: the signed certificate of an SGX enclave, which the processor checks before it starts one.

Layout and signature after Intel SDM volume 3D, section "Enclave Signature Structure (SIGSTRUCT)": 1808 bytes, an RSA
signature of exponent 3 and 3072 bits (PKCS#1 v1.5, SHA-256) over bytes 0..127 and 900..1027, integers little endian.
Parsed by us and not by the signer's own tool, so that a build is read twice by different code. It must never accept an
enclave that a debugger may open, whatever its signature says.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from heartify.errors import EnclaveError, IntegrityError

SIGSTRUCT_BYTES = 1808
MODULUS_BYTES = 384
EXPONENT = 3
HEADER = bytes.fromhex("06000000e10000000000010000000000")
HEADER2 = bytes.fromhex("01010000600000006000000001000000")
ATTRIBUTE_INIT, ATTRIBUTE_DEBUG, ATTRIBUTE_MODE64 = 0x01, 0x02, 0x04
ATTRIBUTE_PROVISION_KEY, ATTRIBUTE_EINITTOKEN_KEY = 0x10, 0x20
_MODULUS_AT, _EXPONENT_AT, _SIGNATURE_AT, _BODY_AT, _Q1_AT, _Q2_AT = 128, 512, 516, 900, 1040, 1424
_RESERVED = ((44, 128), (910, 912), (992, 1008), (1028, 1040))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigstruct:
    """What was signed. `flags` and `xfrm` are ATTRIBUTES, `*_mask` says which of their bits the processor enforces.

    The date is left out: signers write it in different forms, and nothing rests on it.
    `mr_enclave` is ENCLAVEHASH, `mr_signer` the SHA-256 of the modulus; both have 32 bytes.
    """

    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    flags: int
    xfrm: int
    flags_mask: int
    xfrm_mask: int
    misc_select: int


def parse_sigstruct(data: bytes) -> Sigstruct:
    """Parse a SIGSTRUCT and verify its signature.

    Raises:
        EnclaveError: not a SIGSTRUCT, or one of an enclave that isn't fit for production.
        IntegrityError: the signature doesn't hold.
    """
    _check_form(data)
    modulus = data[_MODULUS_AT:_EXPONENT_AT]
    _check_signature(data)
    misc_select, flags, xfrm, flags_mask, xfrm_mask, mr_enclave = struct.unpack_from("<I24xQQQQ32s", data, _BODY_AT)
    isv_prod_id, isv_svn = struct.unpack_from("<HH", data, 1024)
    _check_attributes(flags, flags_mask)
    return Sigstruct(
        mr_enclave=mr_enclave,
        mr_signer=hashlib.sha256(modulus).digest(),
        isv_prod_id=isv_prod_id,
        isv_svn=isv_svn,
        flags=flags,
        xfrm=xfrm,
        flags_mask=flags_mask,
        xfrm_mask=xfrm_mask,
        misc_select=misc_select,
    )


def _check_form(data: bytes) -> None:
    if len(data) != SIGSTRUCT_BYTES:
        raise EnclaveError(f"SIGSTRUCT has {len(data)} bytes, expected {SIGSTRUCT_BYTES}")
    if data[:16] != HEADER or data[24:40] != HEADER2:
        raise EnclaveError("not a SIGSTRUCT: its headers are others")
    if any(any(data[start:end]) for start, end in _RESERVED):
        raise EnclaveError("SIGSTRUCT uses reserved bytes")
    if struct.unpack_from("<I", data, _EXPONENT_AT)[0] != EXPONENT:
        raise EnclaveError("SIGSTRUCT is signed with another exponent than 3")


def _check_signature(data: bytes) -> None:
    n, s, q1, q2 = (
        int.from_bytes(data[start : start + MODULUS_BYTES], "little")
        for start in (_MODULUS_AT, _SIGNATURE_AT, _Q1_AT, _Q2_AT)
    )
    if n.bit_length() != MODULUS_BYTES * 8:
        raise EnclaveError(f"SIGSTRUCT is signed with a key of {n.bit_length()} bits, expected 3072")
    signed = data[:128] + data[_BODY_AT : _BODY_AT + 128]
    try:
        key = rsa.RSAPublicNumbers(EXPONENT, n).public_key()
        key.verify(s.to_bytes(MODULUS_BYTES, "big"), signed, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError) as exc:
        raise IntegrityError("the signature of the SIGSTRUCT doesn't hold") from exc
    # The processor multiplies with these quotients instead of dividing; wrong ones stop the start only.
    if q1 != s * s // n or q2 != s * (s * s % n) // n:
        raise IntegrityError("the quotients of the SIGSTRUCT's signature are wrong")


def _check_attributes(flags: int, flags_mask: int) -> None:
    if flags & ATTRIBUTE_DEBUG or not flags_mask & ATTRIBUTE_DEBUG:
        raise EnclaveError("the enclave may be started for debugging", hint="sgx.debug must be false")
    if flags & (ATTRIBUTE_PROVISION_KEY | ATTRIBUTE_EINITTOKEN_KEY):
        raise EnclaveError("the enclave asks for a provisioning or launch key, which it doesn't need")
    if not flags & ATTRIBUTE_MODE64:
        raise EnclaveError("the enclave isn't a 64-bit one")
    if flags & ATTRIBUTE_INIT:
        raise EnclaveError("SIGSTRUCT sets INIT, which only the processor may")
