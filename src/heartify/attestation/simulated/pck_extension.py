"""Intel's SGX extension of a PCK certificate, for a simulated platform.

Layout: Intel SGX PCK Certificate and CRL Profile Specification, table 2 (OID 1.2.840.113741.1.13.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.attestation.simulated import der

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"


@dataclass(frozen=True, slots=True)
class SimulatedPlatformIdentity:
    """What a PCK certificate says of its platform. Sizes: ppid 16, instance 16, fmspc 6, pce_id 2, cpu_svn 16 bytes."""

    ppid: bytes
    platform_instance_id: bytes
    # "PIM" in ASCII: no processor of Intel's has this family.
    fmspc: bytes = bytes.fromhex("50494d000000")
    pce_id: bytes = bytes(2)
    cpu_svn: bytes = bytes([5]) * 16
    pce_svn: int = 13
    sgx_type: int = 0


def encode_pck_extension(identity: SimulatedPlatformIdentity) -> bytes:
    """Encode the extension's value: identity, TCB of 16 components, and a configuration with every feature off."""
    oid = SGX_EXTENSION_OID
    components = [_member(f"{oid}.2.{i}", der.encode_integer(svn)) for i, svn in enumerate(identity.cpu_svn, start=1)]
    tcb = der.encode_sequence(
        *components,
        _member(f"{oid}.2.17", der.encode_integer(identity.pce_svn)),
        _member(f"{oid}.2.18", der.encode_octets(identity.cpu_svn)),
    )
    # dynamic platform, cached keys, SMT
    configuration = der.encode_sequence(*(_member(f"{oid}.7.{i}", der.encode_boolean(False)) for i in (1, 2, 3)))
    return der.encode_sequence(
        _member(f"{oid}.1", der.encode_octets(identity.ppid)),
        _member(f"{oid}.2", tcb),
        _member(f"{oid}.3", der.encode_octets(identity.pce_id)),
        _member(f"{oid}.4", der.encode_octets(identity.fmspc)),
        _member(f"{oid}.5", der.encode_enumerated(identity.sgx_type)),
        _member(f"{oid}.6", der.encode_octets(identity.platform_instance_id)),
        _member(f"{oid}.7", configuration),
    )


def _member(oid: str, value: bytes) -> bytes:
    return der.encode_sequence(der.encode_oid(oid), value)
