"""Byte layout of AMD's attestation report: 1184 bytes, of versions 2, 3 and 5, all little endian.

Source: AMD publication 56860, SEV Secure Nested Paging firmware ABI, table ATTESTATION_REPORT. Version 3 added the
processor's family, model and stepping, version 5 the mitigation vectors; the other offsets never moved.
Parsing proves nothing: `verify` checks the signature over these very bytes. A report that uses a byte or a bit which
this reader doesn't know is refused, because what it doesn't know it can't appraise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from heartify.errors import AttestationError

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0
ECDSA_P384_SHA384: Final = 1
SIGNED_BY_VCEK: Final = 0
SIGNED_BY_VLEK: Final = 1
CHIP_ID_BYTES: Final = 64

# GUEST_POLICY
POLICY_SMT: Final = 1 << 16
POLICY_RESERVED_ONE: Final = 1 << 17
POLICY_MIGRATE_MA: Final = 1 << 18
POLICY_DEBUG: Final = 1 << 19
POLICY_SINGLE_SOCKET: Final = 1 << 20
POLICY_CXL: Final = 1 << 21
POLICY_MEMORY_AES_256_XTS: Final = 1 << 22
POLICY_NO_POWER_METER: Final = 1 << 23
POLICY_CIPHERTEXT_HIDING: Final = 1 << 24
POLICY_NO_PAGE_SWAP: Final = 1 << 25
_POLICY_KNOWN: Final = (1 << 26) - 1
# PLATFORM_INFO
PLATFORM_SMT: Final = 1 << 0
PLATFORM_CIPHERTEXT_HIDING: Final = 1 << 4
PLATFORM_ALIAS_CHECK_COMPLETE: Final = 1 << 5
# SMT, TSME, ECC, RAPL off, ciphertext hiding, alias check; bit 6 is reserved, bit 7 trusted I/O (version 5).
_PLATFORM_KNOWN: Final = {2: 0b0001_1111, 3: 0b0011_1111, 5: 0b1011_1111}
# Bits 0..4: author key present, chip key masked, signing key.
_KEY_INFO_KNOWN: Final = 0b1_1111
# Ranges that must be zero, by version; 0x1F8 has the mitigation vectors in version 5.
_RESERVED_ALWAYS: Final = ((0x4C, 0x50), (0x18B, 0x1A0), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x330, REPORT_BYTES))
_RESERVED_OF_VERSION: Final = {
    2: ((0x188, 0x18B), (0x1F8, SIGNED_BYTES)),
    3: ((0x1F8, SIGNED_BYTES),),
    5: ((0x208, SIGNED_BYTES),),
}
_COORDINATE_BYTES: Final = 72
_R_OFFSET, _S_OFFSET = SIGNED_BYTES, SIGNED_BYTES + _COORDINATE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpReport:
    """What the processor's firmware says about a guest. Byte strings have the sizes of the fields.

    The four `*_tcb` fields are raw TCB_VERSIONs of 8 bytes; `tcb.parse_tcb` reads them once the product is known.
    `processor`: CPUID family, model and stepping, None in version 2. `current_abi`, `committed_abi`: major and minor
    number of the firmware. `signature_r`, `signature_s`: numbers. `signed`: the bytes that the signature covers.
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    author_key_enabled: bool
    chip_key_masked: bool
    signing_key: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    migration_agent_report_id: bytes
    reported_tcb: bytes
    processor: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: bytes
    current_abi: tuple[int, int]
    committed_abi: tuple[int, int]
    launch_tcb: bytes
    launch_mitigations: int
    current_mitigations: int
    signature_r: int
    signature_s: int
    signed: bytes


def parse_snp_report(report: bytes) -> SnpReport:
    """Parse a report of exactly 1184 bytes. Raises AttestationError for another size, version, or unknown bits."""
    if len(report) != REPORT_BYTES:
        raise AttestationError(f"SEV-SNP report has {len(report)} bytes, expected {REPORT_BYTES}")
    version, guest_svn, policy = struct.unpack_from("<IIQ", report, 0)
    if version not in _RESERVED_OF_VERSION:
        raise AttestationError(f"SEV-SNP report of version {version}, expected 2, 3 or 5")
    vmpl, signature_algorithm = struct.unpack_from("<II", report, 0x30)
    (platform_info,) = struct.unpack_from("<Q", report, 0x40)
    (key_info,) = struct.unpack_from("<I", report, 0x48)
    launch_mitigations, current_mitigations = struct.unpack_from("<QQ", report, 0x1F8)
    _check_reserved(report, version, policy, platform_info, key_info)
    return SnpReport(
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        family_id=report[0x10:0x20],
        image_id=report[0x20:0x30],
        vmpl=vmpl,
        signature_algorithm=signature_algorithm,
        current_tcb=report[0x38:0x40],
        platform_info=platform_info,
        author_key_enabled=bool(key_info & 1),
        chip_key_masked=bool(key_info & 2),
        signing_key=key_info >> 2 & 0b111,
        report_data=report[0x50:0x90],
        measurement=report[0x90:0xC0],
        host_data=report[0xC0:0xE0],
        id_key_digest=report[0xE0:0x110],
        author_key_digest=report[0x110:0x140],
        report_id=report[0x140:0x160],
        migration_agent_report_id=report[0x160:0x180],
        reported_tcb=report[0x180:0x188],
        processor=(report[0x188], report[0x189], report[0x18A]) if version >= 3 else None,
        chip_id=report[0x1A0:0x1E0],
        committed_tcb=report[0x1E0:0x1E8],
        # Build, minor, major, in this order.
        current_abi=(report[0x1EA], report[0x1E9]),
        committed_abi=(report[0x1EE], report[0x1ED]),
        launch_tcb=report[0x1F0:0x1F8],
        launch_mitigations=launch_mitigations,
        current_mitigations=current_mitigations,
        signature_r=int.from_bytes(report[_R_OFFSET:_S_OFFSET], "little"),
        signature_s=int.from_bytes(report[_S_OFFSET : _S_OFFSET + _COORDINATE_BYTES], "little"),
        signed=report[:SIGNED_BYTES],
    )


def _check_reserved(report: bytes, version: int, policy: int, platform_info: int, key_info: int) -> None:
    if any(any(report[start:end]) for start, end in (*_RESERVED_ALWAYS, *_RESERVED_OF_VERSION[version])):
        raise AttestationError(f"SEV-SNP report of version {version} uses reserved bytes")
    if policy & ~_POLICY_KNOWN or not policy & POLICY_RESERVED_ONE:
        raise AttestationError(f"SEV-SNP guest policy {policy:#x} uses reserved bits")
    if platform_info & ~_PLATFORM_KNOWN[version]:
        raise AttestationError(f"SEV-SNP platform info {platform_info:#x} uses reserved bits")
    if key_info & ~_KEY_INFO_KNOWN:
        raise AttestationError(f"SEV-SNP key info {key_info:#x} uses reserved bits")
