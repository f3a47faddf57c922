"""Blobs that a confidential VM's kernel would hand out: simulated TDX quotes, simulated SEV-SNP reports."""

from __future__ import annotations

import struct
import uuid

from cryptography.hazmat.primitives.serialization import Encoding
from simulated_amd import Chain, report

from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.launch import SimulatedLaunch
from heartify.protocol.evidence import TeeKind

REGISTERS = tuple(bytes([number]) * 48 for number in (1, 2, 3, 4))
LAUNCH = SimulatedLaunch(TeeKind.SIMULATED_TDX, REGISTERS, Isolation.NONE)
GUIDS = {
    "VCEK": "63da758d-e664-4564-adc5-f4b93be8accd",
    "ASK": "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "ARK": "c0b406a4-a803-4952-9743-3fb6014cd0ae",
}


def tdx_quoter(platform: SimulatedPlatform):
    """Return what makes a quote of an inblob."""
    return lambda inblob: platform.quote_launch(LAUNCH, inblob)


def snp_report(inblob: bytes) -> bytes:
    return report(report_data=inblob)


def table_of(entries: dict[str, bytes], *, end: bool = True) -> bytes:
    """AMD's table, with the bytes of each GUID in the order of its text, padded to a page as the kernel gives it."""
    offset = 24 * (len(entries) + end)
    head, body = b"", b""
    for guid, content in entries.items():
        head += uuid.UUID(guid).bytes + struct.pack("<II", offset + len(body), len(content))
        body += content
    table = head + bytes(24 * end) + body
    return table + bytes(-len(table) % 4096 * end)


def certificates(encoding: Encoding = Encoding.DER) -> dict[str, bytes]:
    chain = Chain()
    made = {"ARK": chain.root(), "ASK": chain.issuer(), "VCEK": chain.leaf()}
    return {GUIDS[name]: certificate.public_bytes(encoding) for name, certificate in made.items()}
