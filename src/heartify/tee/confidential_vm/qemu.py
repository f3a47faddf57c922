"""The command that starts a confidential VM: a pure function of what is started, so that every word can be tested.

No disk, no network, no console, no monitor, no saved state: one vsock device is all that connects guest and host. QEMU
runs outside the guest and is not trusted; a word that is missing here shows in the measurement or costs the pool a run.
Sources: QEMU, docs/system/i386/tdx.rst and amd-memory-encryption.rst (QEMU 10.1 or later).
"""

from __future__ import annotations

import json
from typing import Final

from heartify.errors import EnclaveError
from heartify.protocol.evidence import TeeKind
from heartify.tee.confidential_vm.build import GuestBuild
from heartify.tee.confidential_vm.vm_host import VmHost

QEMU: Final = "qemu-system-x86_64"
# AMD 56860, GUEST_POLICY: bit 17 is always one, bit 16 allows threads of one core; debugging and migration stay off.
_SNP_POLICY: Final = 1 << 17
_SNP_POLICY_SMT: Final = 1 << 16


def build_qemu_command(program: str, build: GuestBuild, host: VmHost, *, cid: int, command_line: str) -> list[str]:
    """Return the command. `cid` is the guest's vsock address, 3 or more.

    Raises EnclaveError for an address that a guest can't have, and a path that QEMU would read as options.
    """
    if not 3 <= cid < 0xFFFFFFFF:
        raise EnclaveError(f"a guest can't have the vsock address {cid}")
    paths = [str(build.path_of(name)) for name in ("firmware", "kernel", "initrd")]
    if any("," in path for path in paths):
        raise EnclaveError("guest: QEMU can't take a path with a comma")
    firmware, kernel, initrd = paths
    return [
        program,
        *("-no-user-config", "-nodefaults", "-no-reboot"),
        *("-display", "none", "-vga", "none", "-serial", "none", "-parallel", "none", "-monitor", "none"),
        *("-nic", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-accel", "kvm"),
        *_tee_arguments(build, host),
        *("-smp", f"{build.cpus},maxcpus={build.cpus}"),
        *("-m", f"{build.memory_bytes // 2**20}M"),
        *("-bios", firmware),
        *("-kernel", kernel),
        *("-initrd", initrd),
        *("-append", command_line),
        *("-device", f"vhost-vsock-pci,guest-cid={cid},disable-legacy=on,iommu_platform=on"),
    ]


def _tee_arguments(build: GuestBuild, host: VmHost) -> list[str]:
    if build.tee_kind is TeeKind.TDX:
        guest = {
            "qom-type": "tdx-guest",
            "id": "tee",
            # A page that the host takes away must be an error, never a silent exception that the guest handles.
            "sept-ve-disable": True,
            "quote-generation-socket": {"type": "unix", "path": host.quoting_socket},
        }
        return [
            *("-cpu", "host"),
            *("-object", json.dumps(guest, separators=(",", ":"))),
            *("-machine", "q35,confidential-guest-support=tee,kernel-irqchip=split,hpet=off,smm=off"),
        ]
    policy = _SNP_POLICY | (_SNP_POLICY_SMT if host.allow_smt else 0)
    # kernel-hashes puts kernel, initial file system and command line into the launch digest, by the firmware.
    guest = {
        "qom-type": "sev-snp-guest",
        "id": "tee",
        "cbitpos": host.c_bit,
        "reduced-phys-bits": host.reduced_physical_bits,
        "policy": policy,
        "kernel-hashes": True,
    }
    return [
        *("-cpu", host.snp_processor),
        *("-object", f"memory-backend-memfd,id=memory,size={build.memory_bytes},share=on,prealloc=off"),
        *("-object", json.dumps(guest, separators=(",", ":"))),
        *("-machine", "q35,confidential-guest-support=tee,memory-backend=memory,vmport=off,smm=off"),
    ]
