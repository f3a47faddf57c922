"""What differs between machines that start the same guest: an optional `host.json` beside the guest's files.

Nothing in it is secret, and nothing in it can weaken a guest unseen: what matters stands in the processor's report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from heartify.errors import InputError

DOCUMENT: Final = "host.json"


class VmHost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a machine; left out they are those of most.

    `quoting_socket`: of Intel's quote generation service, which TDX guests need. Of SEV-SNP: `c_bit` and
    `reduced_physical_bits` are what CPUID 8000001F says; `snp_processor` is QEMU's model of the processor, which is
    measured; `allow_smt` lets a guest start where two threads share a core, and policies must accept that too.
    """

    quoting_socket: str = "/var/run/tdx-qgs/qgs.socket"
    c_bit: int = 51
    reduced_physical_bits: int = 1
    snp_processor: str = "EPYC-v4"
    allow_smt: bool = False


def load_vm_host(folder: Path) -> VmHost:
    """Read `host.json` of a guest's folder; without one the defaults hold. Raises InputError for its form."""
    path = folder / DOCUMENT
    if not path.exists():
        return VmHost()
    try:
        host = msgspec.json.decode(path.read_bytes(), type=VmHost)
    except (OSError, msgspec.MsgspecError) as exc:
        raise InputError(f"{folder.name}: {DOCUMENT} can't be read: {exc}") from exc
    if not host.snp_processor.replace("-", "").isalnum():
        raise InputError(f"{folder.name}: {DOCUMENT} names no processor model of QEMU's")
    return host
