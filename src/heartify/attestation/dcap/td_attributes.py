"""The bits of ATTRIBUTES and XFAM of a trust domain, by the names of Intel's documents.

ATTRIBUTES: Intel TDX module ABI specification, "ATTRIBUTES". XFAM has the bits of XCR0 and IA32_XSS: SDM volume 1,
section 13.1. Bits that have no name here are refused: nobody has said what they let in.
"""

from __future__ import annotations

from typing import Final

TD_DEBUG: Final = 1 << 0  # the host reads and writes registers and private memory
TD_SEPT_VE_DISABLE: Final = 1 << 28  # the host can't inject #VE by unmapping a page; Linux refuses to start without
TD_MIGRATABLE: Final = 1 << 29  # a migration trust domain may carry the state to another machine

TD_ATTRIBUTE_NAMES: Final = {
    "debug": TD_DEBUG,
    "hgs-plus-profiling": 1 << 4,
    "perfmon-profiling": 1 << 5,
    "telemetry-profiling": 1 << 6,
    "icssd": 1 << 16,
    "service-td-extension": 1 << 17,
    "lass": 1 << 27,
    "sept-ve-disable": TD_SEPT_VE_DISABLE,
    "migratable": TD_MIGRATABLE,
    "pks": 1 << 30,
    "kl": 1 << 31,
    "tdx-connect-provisioning-agent": 1 << 62,
    "perfmon": 1 << 63,
}
# What a policy may allow: features of the guest that give the host nothing. Performance counters let a guest observe
# itself, and the host only their timing; the profiling bits of the lowest byte open the domain to the host.
ALLOWABLE_TD_ATTRIBUTES: Final = {name: TD_ATTRIBUTE_NAMES[name] for name in ("icssd", "kl", "lass", "perfmon", "pks")}
PROCESSOR_STATE_NAMES: Final = {
    "x87": 1 << 0,
    "sse": 1 << 1,
    "avx": 1 << 2,
    "mpx-bounds": 1 << 3,
    "mpx-config": 1 << 4,
    "avx512-mask": 1 << 5,
    "avx512-high": 1 << 6,
    "avx512-more": 1 << 7,
    "processor-trace": 1 << 8,
    "pkru": 1 << 9,
    "pasid": 1 << 10,
    "cet-user": 1 << 11,
    "cet-supervisor": 1 << 12,
    "hdc": 1 << 13,
    "user-interrupts": 1 << 14,
    "last-branch-records": 1 << 15,
    "hwp": 1 << 16,
    "amx-config": 1 << 17,
    "amx-data": 1 << 18,
    "apx": 1 << 19,
}


def bit_names(bits: int, names: dict[str, int]) -> tuple[str, ...]:
    """Return the names of the bits that are set, and `bit <number>` for those that have none, in order of the bits."""
    name_of_bit = {bit: name for name, bit in names.items()}
    return tuple(name_of_bit.get(1 << i, f"bit {i}") for i in range(64) if bits >> i & 1)
