"""Facts of SGX and TDX quotes: header, report, quoting enclave, platform as its PCK certificate names it.

Offsets: Intel "SGX ECDSA QuoteLibReference" appendix A.4, "TDX DCAP Quoting Library API" appendix A.3. It reads quotes
of version 5 and quotes that a verifier refuses; what follows a quote is counted.
"""

from __future__ import annotations

import struct
from typing import Final

import dcap_qvl

from heartify.attestation.dcap.td_attributes import PROCESSOR_STATE_NAMES, TD_ATTRIBUTE_NAMES, bit_names
from heartify.attestation.inspection.certificate_facts import certificate_sections
from heartify.attestation.inspection.facts import Section, words, yes_or_no
from heartify.attestation.isolation import decode_isolation
from heartify.attestation.td_measurement import td_measurement
from heartify.errors import AttestationError

_HEADER_BYTES: Final = 48
_SGX_BODY_BYTES: Final = 384
_TD_BODY_BYTES: Final = 584
_QE_REPORT_OFFSET: Final = 128
# Intel SDM volume 3D, table "ATTRIBUTES".
_SGX_FLAGS: Final = {
    "INIT": 0x1,
    "DEBUG": 0x2,
    "MODE64BIT": 0x4,
    "PROVISION_KEY": 0x10,
    "EINITTOKEN_KEY": 0x20,
    "CET": 0x40,
    "KSS": 0x80,
    "AEX_NOTIFY": 0x400,
}
_SGX_TYPES: Final = {0: "standard", 1: "scalable, no memory integrity", 2: "scalable with memory integrity"}


def quote_sections(quote: bytes, *, simulated: bool) -> tuple[Section, ...]:
    """Return the facts of a quote. Raises AttestationError when it is truncated."""
    version, _, tee_type = struct.unpack_from("<HHI", quote, 0)
    body_offset, body_bytes = _body_place(quote, version, tee_type)
    body = quote[body_offset : body_offset + body_bytes]
    length_offset = body_offset + body_bytes
    section_start = length_offset + 4
    section_length = int.from_bytes(quote[length_offset:section_start], "little")
    if len(quote) < section_start or section_start + section_length > len(quote):
        raise AttestationError(f"the quote is truncated: {len(quote)} bytes")
    section = quote[section_start : section_start + section_length]
    after = quote[section_start + section_length :]
    report = _td_section(body, simulated=simulated) if tee_type else _sgx_section("enclave", body, simulated=simulated)
    qe_offset = _QE_REPORT_OFFSET if version == 3 else _QE_REPORT_OFFSET + 6
    return (
        _header_section(quote, after),
        report,
        *_platform_sections(quote),
        _quoting_enclave_section(section[qe_offset : qe_offset + _SGX_BODY_BYTES]),
    )


def _body_place(quote: bytes, version: int, tee_type: int) -> tuple[int, int]:
    if version < 5:
        return _HEADER_BYTES, _TD_BODY_BYTES if tee_type else _SGX_BODY_BYTES
    # Version 5 puts the body's type and size before it.
    return _HEADER_BYTES + 6, int.from_bytes(quote[_HEADER_BYTES + 2 : _HEADER_BYTES + 6], "little")


def _header_section(quote: bytes, after: bytes) -> Section:
    version, key_type, tee_type, qe_svn, pce_svn = struct.unpack_from("<HHIHH", quote, 0)
    trailing = f"{len(after)} bytes" + ("" if not after else ", all zero" if not any(after) else ", NOT all zero")
    facts = [
        ("version", str(version)),
        ("attestation key", {2: "ECDSA P-256", 3: "ECDSA P-384"}.get(key_type, str(key_type))),
        ("TEE type", "TDX" if tee_type else "SGX"),
        ("quoting enclave vendor", quote[12:28].hex()),
        ("user data", quote[28:48].hex()),
        ("length", f"{len(quote) - len(after)} bytes"),
        ("what follows the quote", trailing),
    ]
    if version == 3:
        facts[3:3] = [("quoting enclave SVN", str(qe_svn)), ("PCE SVN", str(pce_svn))]
    return Section("quote", tuple(facts))


def _sgx_section(title: str, body: bytes, *, simulated: bool) -> Section:
    flags, xfrm = struct.unpack_from("<QQ", body, 48)
    prod_id, svn, config_svn = struct.unpack_from("<HHH", body, 256)
    reserved = any(body[20:32] + body[96:128] + body[160:192] + body[262:304])
    facts = [
        ("measurement (MRENCLAVE)", body[64:96].hex()),
        ("signer (MRSIGNER)", body[128:160].hex()),
        ("product id (ISVPRODID)", str(prod_id)),
        ("security version (ISVSVN)", str(svn)),
        ("attributes", f"{words(bit_names(flags, _SGX_FLAGS))} ({flags:#x})"),
        ("debug", "YES: its memory can be read from outside" if flags & 2 else "no"),
        ("processor state (XFRM)", f"{words(bit_names(xfrm, PROCESSOR_STATE_NAMES))} ({xfrm:#x})"),
        ("CPUSVN", body[:16].hex()),
        ("MISCSELECT", body[16:20].hex()),
        ("extended product id (ISVEXTPRODID)", body[32:48].hex()),
        ("family id (ISVFAMILYID)", body[304:320].hex()),
        ("configuration (CONFIGID)", body[192:256].hex()),
        ("configuration version (CONFIGSVN)", str(config_svn)),
        *_isolation_facts(body[192:256], simulated=simulated),
        ("report data", body[320:384].hex()),
        ("reserved bytes", "in use, which a verifier refuses" if reserved else "zero"),
    ]
    return Section(title, tuple(facts))


def _td_section(body: bytes, *, simulated: bool) -> Section:
    seam_attributes, attributes, xfam = struct.unpack_from("<QQQ", body, 112)
    names = ("MRTD", "MRCONFIGID", "MROWNER", "MROWNERCONFIG", "RTMR0", "RTMR1", "RTMR2", "RTMR3")
    registers = {name: body[136 + 48 * index : 184 + 48 * index] for index, name in enumerate(names)}
    measurement = td_measurement(
        mr_td=registers["MRTD"], rtmr0=registers["RTMR0"], rtmr1=registers["RTMR1"], rtmr2=registers["RTMR2"]
    )
    facts = [
        ("measurement (of MRTD, RTMR0, RTMR1, RTMR2)", measurement.hex()),
        *((name, value.hex()) for name, value in registers.items()),
        *_isolation_facts(registers["MRCONFIGID"], simulated=simulated),
        ("attributes", f"{words(bit_names(attributes, TD_ATTRIBUTE_NAMES))} ({attributes:#x})"),
        ("debug", "YES: the host can read its memory" if attributes & 1 else "no"),
        ("processor state (XFAM)", f"{words(bit_names(xfam, PROCESSOR_STATE_NAMES))} ({xfam:#x})"),
        ("TDX module (MRSEAM)", body[16:64].hex()),
        ("TDX module's signer (MRSIGNERSEAM)", "Intel (zero)" if not any(body[64:112]) else body[64:112].hex()),
        ("TDX module's attributes", f"{seam_attributes:#x}"),
        ("TEE TCB SVN", body[:16].hex()),
        ("report data", body[520:584].hex()),
    ]
    if len(body) > _TD_BODY_BYTES:
        facts += [("TEE TCB SVN 2", body[584:600].hex()), ("service domain (MRSERVICETD)", body[600:648].hex())]
    return Section("trust domain", tuple(facts))


def _isolation_facts(config_id: bytes, *, simulated: bool) -> tuple[tuple[str, str], ...]:
    if not simulated:
        return ()
    try:
        return (("isolation of the simulated process", words(decode_isolation(config_id).words)),)
    except AttestationError:
        return (("isolation of the simulated process", "not stated"),)


def _platform_sections(quote: bytes) -> tuple[Section, ...]:
    try:
        parsed = dcap_qvl.Quote.parse(quote)
        pck, authority, chain = parsed.pck_extension(), str(parsed.ca()), parsed.cert_chain_pem_bytes()
    except ValueError as exc:
        return (Section("platform", (("not readable", " ".join(str(exc).split())[:200]),)),)
    instance = pck.platform_instance_id
    facts = (
        ("FMSPC", pck.fmspc.hex().upper()),
        ("PPID", pck.ppid.hex()),
        ("platform instance id", "none" if instance is None else instance.hex()),
        ("PCK authority", authority),
        ("PCE id", pck.pce_id.hex()),
        ("PCE SVN", str(pck.pce_svn)),
        ("TCB components (CPUSVN)", " ".join(str(svn) for svn in pck.cpu_svn)),
        ("memory protection", _SGX_TYPES.get(pck.sgx_type, str(pck.sgx_type))),
    )
    return (Section("platform, by its PCK certificate", facts), *certificate_sections((chain or b"").rstrip(b"\0")))


def _quoting_enclave_section(report: bytes) -> Section:
    if len(report) != _SGX_BODY_BYTES:
        return Section("quoting enclave", (("not readable", "the signature section is too short"),))
    prod_id, svn = struct.unpack_from("<HH", report, 256)
    (flags,) = struct.unpack_from("<Q", report, 48)
    facts = (
        ("measurement (MRENCLAVE)", report[64:96].hex()),
        ("signer (MRSIGNER)", report[128:160].hex()),
        ("product id (ISVPRODID)", str(prod_id)),
        ("security version (ISVSVN)", str(svn)),
        ("debug", yes_or_no(flags & 2)),
    )
    return Section("quoting enclave", facts)
