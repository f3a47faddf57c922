"""The command that starts a guest, word by word; what it must have and what it must never have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from heartify.errors import EnclaveError, InputError
from heartify.protocol.evidence import TeeKind
from heartify.tee.confidential_vm.build import GuestBuild
from heartify.tee.confidential_vm.qemu import build_qemu_command
from heartify.tee.confidential_vm.vm_host import VmHost, load_vm_host

BUILD = GuestBuild(
    folder=Path("/guests/one"),
    tee_kind=TeeKind.TDX,
    memory_bytes=4 * 2**30,
    cpus=2,
    measurement=b"m" * 48,
    digests=(),
)
COMMON_BEFORE = [
    *("qemu", "-no-user-config", "-nodefaults", "-no-reboot"),
    *("-display", "none", "-vga", "none", "-serial", "none", "-parallel", "none", "-monitor", "none", "-nic", "none"),
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-accel", "kvm"),
]
TDX_OBJECT = (
    '{"qom-type":"tdx-guest","id":"tee","sept-ve-disable":true,'
    '"quote-generation-socket":{"type":"unix","path":"/var/run/tdx-qgs/qgs.socket"}}'
)
COMMON_AFTER = [
    *["-smp", "2,maxcpus=2", "-m", "4096M", "-bios", "/guests/one/firmware", "-kernel", "/guests/one/kernel"],
    *("-initrd", "/guests/one/initrd", "-append", "quiet -- one two"),
    *("-device", "vhost-vsock-pci,guest-cid=7,disable-legacy=on,iommu_platform=on"),
]


def command(build=BUILD, host=None, **changes):
    return build_qemu_command(
        "qemu", build, host or VmHost(), **{"cid": 7, "command_line": "quiet -- one two", **changes}
    )


def test_tdx_guest_is_started_by_exactly_these_words():
    assert command() == [
        *COMMON_BEFORE,
        *("-cpu", "host"),
        *("-object", TDX_OBJECT),
        *("-machine", "q35,confidential-guest-support=tee,kernel-irqchip=split,hpet=off,smm=off"),
        *COMMON_AFTER,
    ]


def test_snp_guest_is_started_by_exactly_these_words():
    assert command(replace(BUILD, tee_kind=TeeKind.SEV_SNP)) == [
        *COMMON_BEFORE,
        *("-cpu", "EPYC-v4"),
        *("-object", "memory-backend-memfd,id=memory,size=4294967296,share=on,prealloc=off"),
        "-object",
        '{"qom-type":"sev-snp-guest","id":"tee","cbitpos":51,"reduced-phys-bits":1,"policy":131072,"kernel-hashes":true}',
        *("-machine", "q35,confidential-guest-support=tee,memory-backend=memory,vmport=off,smm=off"),
        *COMMON_AFTER,
    ]


@pytest.mark.parametrize("kind", [TeeKind.TDX, TeeKind.SEV_SNP])
def test_no_guest_has_disk_network_debugging_or_migration(kind):
    words = " ".join(command(replace(BUILD, tee_kind=kind), VmHost(allow_smt=True))).lower()

    for forbidden in (
        "-drive",
        "-blockdev",
        "-hda",
        "-netdev",
        "virtio-net",
        "-gdb",
        "-s ",
        "debug",
        "-incoming",
        "-fw_cfg",
    ):
        assert forbidden not in words
    # GUEST_POLICY bits 18 and 19 are migration and debugging.
    if kind is TeeKind.SEV_SNP:
        policy = int(words.split('"policy":')[1].split(",")[0])
        assert policy == 1 << 16 | 1 << 17


@pytest.mark.parametrize("cid", [0, 1, 2, 0xFFFFFFFF])
def test_reserved_address_is_refused(cid):
    with pytest.raises(EnclaveError, match="vsock address"):
        command(cid=cid)


def test_path_that_qemu_would_read_as_options_is_refused():
    with pytest.raises(EnclaveError, match="comma"):
        command(replace(BUILD, folder=Path("/guests/a,b")))


def test_host_of_a_guest_is_read_from_its_folder(tmp_path):
    assert load_vm_host(tmp_path) == VmHost()

    (tmp_path / "host.json").write_text('{"c_bit": 47, "allow_smt": true}')

    assert load_vm_host(tmp_path) == VmHost(c_bit=47, allow_smt=True)


@pytest.mark.parametrize("text", ["", "[]", '{"debug": true}', '{"snp_processor": "host,+x"}', '{"c_bit": "51"}'])
def test_host_that_can_not_be_understood_is_refused(tmp_path, text):
    (tmp_path / "host.json").write_text(text)

    with pytest.raises(InputError, match=r"host\.json"):
        load_vm_host(tmp_path)
