"""A fake QEMU: it "boots" the initial file system that it is given, and plays the processor that quotes it.

It reads the very command line that the launcher builds, unpacks the archive by a reader of its own, mounts a fake
configfs-tsm in it, changes its root into it, and runs the interpreter with the arguments that the kernel would give it.
Instead of vsock, which can't be looped back everywhere, the guest program listens on a Unix socket named after the
guest's address. Only root can do that. Usage: fake_qemu.py FOLDER PLATFORM_FOLDER, then QEMU's arguments.
"""

# Its helpers lie beside it, so the path comes first.
# ruff: noqa: E402
from __future__ import annotations

import ctypes
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "attestation" / "snp")]

from fake_tsm import FakeTsm
from fuse_tsm import FuseTsm
from guest_evidence import tdx_quoter
from read_cpio import unpack

from heartify.attestation.simulated import SimulatedPlatform

# What guest.main does after its mounts and its vsock socket, which only a guest's kernel has.
BOOT = (
    "import runpy, socket, sys; guest = runpy.run_path(sys.argv[1]); "
    "guest['run'](socket.socket(fileno=100), sys.argv[2], guest['TSM_FOLDER'])"
)


LISTENER_FD = 100
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def take_own_mounts() -> None:
    """Leave the host's mounts, so that what is mounted here goes when this process is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def main(folder: Path, platform: Path, arguments: list[str]) -> int:
    options = {name: value for name, value in itertools.pairwise(arguments) if name.startswith("-")}
    cid = int(options["-device"].split("guest-cid=")[1].split(",")[0])
    root = folder / f"root-{cid}"
    unpack(Path(options["-initrd"]).read_bytes(), root)
    words = options["-append"].split(" ")
    split = words.index("--")
    environment = dict(
        word.split("=", 1) for word in words[:split] if word.partition("=")[0].isupper() or "LD_" in word
    )
    interpreter = next(word.removeprefix("rdinit=") for word in words if word.startswith("rdinit="))
    init_arguments = words[split + 1 :]
    script = init_arguments.index("/image/guest/guest.py")
    take_own_mounts()
    tsm_folder = root / "sys/kernel/config/tsm/report"
    tsm_folder.mkdir(parents=True)
    fuse = FuseTsm(FakeTsm("tdx_guest", tdx_quoter(SimulatedPlatform.load(platform)), padding=4096), tsm_folder)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / f"{cid}.sock"))
    os.dup2(listener.fileno(), LISTENER_FD, inheritable=True)
    try:
        return subprocess.run(
            [interpreter, *init_arguments[:script], "-c", BOOT, *init_arguments[script:]],
            env=environment,
            close_fds=False,
            preexec_fn=lambda: (os.chroot(root), os.chdir("/")),
            check=False,
        ).returncode
    finally:
        fuse.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
