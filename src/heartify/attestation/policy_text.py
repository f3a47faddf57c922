"""A policy in sentences, for the officer who answers for it.

One sentence a line, the dangerous ones first. It says what the values mean and hides none: a test changes every member
and demands that the text changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from heartify.attestation.dcap.demands import NO_CONFIG_ID_HEX, NO_TD_REGISTER_HEX, IntelDemands, SgxDemands, TdxDemands
from heartify.attestation.dcap.td_attributes import PROCESSOR_STATE_NAMES, bit_names
from heartify.attestation.platforms import AllowedPlatform
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.roots import TrustRoot, Vendor
from heartify.attestation.snp.demands import SnpDemands
from heartify.protocol.evidence import TeeKind

_VENDOR_OF_KIND: Final = {
    TeeKind.SGX: Vendor.INTEL,
    TeeKind.TDX: Vendor.INTEL,
    TeeKind.SEV_SNP: Vendor.AMD,
    TeeKind.SIMULATED_SGX: Vendor.INTEL,
    TeeKind.SIMULATED_TDX: Vendor.INTEL,
}
_SGX_TYPES: Final = {
    0: "standard",
    1: "scalable without memory integrity",
    2: "scalable with memory integrity",
}


def describe_policy(policy: VerifierPolicy) -> list[str]:
    """Return what a policy accepts and refuses, a sentence each."""
    return [sentence for part in _PARTS for sentence in part(policy)]


def _simulation(policy: VerifierPolicy) -> Iterator[str]:
    yield f"Policy {policy.name!r}."
    if policy.allow_simulated:
        yield "UNSAFE: simulated TEEs are accepted, which prove nothing about what runs."
        isolation = _list(policy.required_isolation.words) or "nothing"
        yield f"A simulated process must be isolated by: {isolation}."
    elif policy.required_isolation:
        yield f"Isolation is required of simulations ({_list(policy.required_isolation.words)}), but none is accepted."


def _kinds_and_roots(policy: VerifierPolicy) -> Iterator[str]:
    yield f"Accepted kinds of TEE: {_list(kind.wire_name for kind in policy.accepted_tee_kinds)}."
    yield f"Believed roots: {_list(_root(root) for root in policy.roots)}."
    for kind in policy.accepted_tee_kinds:
        vendor = _VENDOR_OF_KIND[kind]
        if not any(root.simulated is kind.is_simulated for root in policy.roots_of(vendor)):
            yield f"Evidence of kind {kind.wire_name} will be refused all the same: no root for it is listed."


def _measurements(policy: VerifierPolicy) -> Iterator[str]:
    yield "The measurement must be that of an app release approved by this party, always."
    for kind in TeeKind:
        pinned = sorted(measurement.hex() for measurement in policy.pinned_for(kind))
        if pinned:
            yield f"Of {kind.wire_name}, only these measurements besides: {_list(pinned)}."


def _machines(policy: VerifierPolicy) -> Iterator[str]:
    if not policy.platforms:
        yield "Machines of any operator at any site are accepted."
        return
    yield f"Only these {len(policy.platforms)} machines are accepted:"
    yield from (f"  {_platform(platform)}." for platform in policy.platforms)


def _age(policy: VerifierPolicy) -> Iterator[str]:
    if policy.maximum_collateral_age_days is None:
        yield "The vendor's statements are accepted until they expire, about thirty days after their issue."
    else:
        yield f"The vendor's statements are accepted for {policy.maximum_collateral_age_days} days after their issue."


def _intel(policy: VerifierPolicy) -> Iterator[str]:
    demands: IntelDemands = policy.intel
    yield f"Intel platforms: accepted TCB statuses are {_list(sorted(demands.accepted_tcb_statuses))}; never Revoked."
    advisories = _list(sorted(demands.accepted_advisories))
    yield f"Intel platforms: accepted advisories are {advisories or 'none'}; any other refuses the evidence."
    if demands.rejected_advisories:
        yield f"Intel platforms: always refused for {_list(sorted(demands.rejected_advisories))}."
    yield (
        f"Intel platforms: out-of-date firmware is good for {demands.platform_grace_days} days after its TCB date, "
        f"an out-of-date quoting enclave for {demands.qe_grace_days}, where the status is accepted."
    )
    yield f"Intel platforms: TCB evaluation data number at least {demands.min_tcb_evaluation_data_number}."
    types = _list(_SGX_TYPES[number] for number in sorted(demands.accepted_sgx_types))
    yield f"Intel platforms: accepted memory protection is {types}."
    for allowed, what in (
        (demands.allow_dynamic_platform, "platforms of several processor packages"),
        (demands.allow_cached_keys, "platforms whose keys Intel keeps"),
        (demands.allow_smt, "simultaneous multithreading"),
    ):
        yield f"Intel platforms: {what} {'are' if what.startswith('platforms') else 'is'} {_accepted(allowed)}."


def _sgx(policy: VerifierPolicy) -> Iterator[str]:
    demands: SgxDemands = policy.sgx
    product = "any product" if demands.isv_prod_id is None else f"product {demands.isv_prod_id}"
    yield f"SGX: security version at least {demands.min_isv_svn}, {product}; debug enclaves are refused."
    yield f"SGX: CONFIGID must be {_hex(demands.config_id_hex, NO_CONFIG_ID_HEX)}."
    yield f"SGX: processor state at most {_list(bit_names(demands.xfrm_allowed, PROCESSOR_STATE_NAMES))}."


def _tdx(policy: VerifierPolicy) -> Iterator[str]:
    demands: TdxDemands = policy.tdx
    yield "TDX: debuggable and migratable domains, and those without SEPT_VE_DISABLE, are refused."
    yield f"TDX: further attributes accepted: {_list(sorted(demands.allowed_attributes)) or 'none'}."
    yield f"TDX: processor state at most {_list(bit_names(demands.xfam_allowed, PROCESSOR_STATE_NAMES))}."
    for name, value in (
        ("RTMR3", demands.rtmr3_hex),
        ("MRCONFIGID", demands.mr_config_id_hex),
        ("MROWNER", demands.mr_owner_hex),
        ("MROWNERCONFIG", demands.mr_owner_config_hex),
    ):
        yield f"TDX: {name} must be {_hex(value, NO_TD_REGISTER_HEX)}."


def _sev_snp(policy: VerifierPolicy) -> Iterator[str]:
    if TeeKind.SEV_SNP not in policy.accepted_tee_kinds:
        return
    demands: SnpDemands = policy.sev_snp
    yield "SEV-SNP: debuggable and migratable guests, and reports of a lower privilege level than 0, are refused."
    if not demands.minimum_tcb:
        yield "SEV-SNP: no processor product is accepted, since no minimum_tcb is named."
    for member in dataclasses.fields(SnpDemands):
        yield f"SEV-SNP: {member.name} is {_value(getattr(demands, member.name))}."


_PARTS: Final = (
    _simulation,
    _kinds_and_roots,
    _measurements,
    _machines,
    _age,
    _intel,
    _sgx,
    _tdx,
    _sev_snp,
)


def _root(root: TrustRoot) -> str:
    if root.spki_sha256 is not None:
        return f"{root.name} (key {root.spki_sha256.hex()[:16]}…)"
    return f"{root.name} (simulated)" if root.simulated else root.name


def _platform(platform: AllowedPlatform) -> str:
    until = "" if platform.until is None else f", until {platform.until}"
    return f"{platform.id.hex()} of {platform.operator} at {platform.site}{until}"


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return _list(sorted(map(str, value))) or "empty"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _hex(text: str, zeros: str) -> str:
    return "zero" if text == zeros else text


def _accepted(allowed: bool) -> str:
    return "accepted" if allowed else "refused"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
