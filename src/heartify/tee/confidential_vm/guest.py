"""The first and only program inside a confidential VM: the guest's init, which becomes the enclave.

The kernel starts it as `python3 -I -S -B -X utf8 /image/guest/guest.py MODULE:FUNCTION PORT`; image and command line
are measured. It imports the standard library only, until the measured image is all that modules can come from. It waits
on a vsock port, takes one connection, and closes the door behind it. The VM has no disk, no network and no swap.
It must never print: a traceback could hold patient values, so whatever happens, the machine is switched off.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import socket
import sys

TSM_FOLDER = "/sys/kernel/config/tsm/report"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_PR_SET_DUMPABLE = 4
_POWER_OFF = 0x4321FEDC
_REPORT_DATA_BYTES = 64
# Source, target, type: what the interpreter and the attestation interface need, and nothing else.
_KERNEL_FILE_SYSTEMS = (
    (b"proc", b"/proc", b"proc"),
    (b"sysfs", b"/sys", b"sysfs"),
    (b"configfs", b"/sys/kernel/config", b"configfs"),
)


def main(arguments: list[str]) -> None:
    """Be the init of a guest: mount, listen, run the enclave once, switch the machine off."""
    try:
        # The firmware may add a word of its own for the kernel's loader, `initrd=initrd`, behind ours.
        entry, port = arguments[:2]
        mount_kernel_file_systems()
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
            listener.bind((socket.VMADDR_CID_ANY, int(port)))
            run(listener, entry, TSM_FOLDER)
    except BaseException:  # noqa: BLE001, S110  nothing may be printed, and an init that ends stops the kernel
        pass
    finally:
        switch_off()


def run(listener: socket.socket, entry: str, tsm_folder: str) -> None:
    """Limit this process, take one connection, and call the enclave's entry with its channel and quoter."""
    use_measured_paths_only(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    limit_resources()
    listener.listen(1)
    connection, _ = listener.accept()
    listener.close()
    from heartify.enclave.channel import Channel
    from heartify.enclave.quoting.tsm import KernelFiles, TsmQuoter

    channel = Channel(connection)
    module, _, function = entry.partition(":")
    with connection:
        getattr(importlib.import_module(module), function)(channel, TsmQuoter(channel, KernelFiles(), tsm_folder))


def mount_kernel_file_systems() -> None:
    """Mount /proc, /sys and configfs. Raises OSError when the kernel has no such file system."""
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind in _KERNEL_FILE_SYSTEMS:
        if libc.mount(source, target, kind, _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")


def use_measured_paths_only(root: str) -> None:
    """Let modules come from the image alone. Raises RuntimeError when the interpreter found others."""
    python = os.path.join(root, "python")  # noqa: PTH118
    if sys.prefix != python or any(not path.startswith(python + os.sep) for path in sys.path[1:]):
        raise RuntimeError("the interpreter found a standard library outside the image")
    # The script's own folder comes first under some versions; it holds this file alone.
    sys.path[:] = [
        os.path.join(root, "app"),  # noqa: PTH118
        os.path.join(root, "site"),  # noqa: PTH118
        *(path for path in sys.path if path.startswith(python + os.sep)),
    ]


def limit_resources() -> None:
    """No core dumps, no long files, no tracing; out of memory is an error of Python, not the end of the kernel."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Just the report data that configfs-tsm is given.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_REPORT_DATA_BYTES, _REPORT_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def switch_off() -> None:
    """Switch the machine off; as init there is nobody else to do it."""
    libc = ctypes.CDLL(None)
    if os.getpid() == 1:
        libc.reboot(_POWER_OFF)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
