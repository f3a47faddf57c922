"""Seccomp filters of the simulated TEE, made on the host and carried inside as BPF.

Two layers: the first is in force when the interpreter is executed and denies what no enclave may do; the second is
installed by the bootstrap and denies also exec, fork and sockets. They shrink the kernel surface of a process that
already sees no file and no network; they are no replacement for hardware.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

_CLONE_THREAD = 0x00010000
_NAMESPACE_FLAGS = (
    0x00020000,  # CLONE_NEWNS
    0x02000000,  # CLONE_NEWCGROUP
    0x04000000,  # CLONE_NEWUTS
    0x08000000,  # CLONE_NEWIPC
    0x10000000,  # CLONE_NEWUSER
    0x20000000,  # CLONE_NEWPID
    0x40000000,  # CLONE_NEWNET
)
_NEVER = [
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vmsplice",
]
_NEVER_AFTER_START = [
    "accept",
    "accept4",
    "bind",
    "connect",
    "execve",
    "execveat",
    "fork",
    "listen",
    "memfd_create",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
    "socket",
    "socketpair",
    "vfork",
]


def can_filter_system_calls() -> bool:
    """Say whether libseccomp and its Python binding load on this machine."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return False
    return hasattr(pyseccomp, "SyscallFilter")


def open_launch_filter() -> int:
    """Return a descriptor of the filter under which the interpreter starts. The caller closes it."""
    program = _build_filter(_NEVER)
    _refuse_clone_flags(program)
    return _export(program)


def open_enclave_filter() -> int:
    """Return a descriptor of the filter that the bootstrap installs before any enclave code. The caller closes it."""
    import pyseccomp

    program = _build_filter(_NEVER_AFTER_START)
    # A clone that makes no thread makes a process.
    new_process = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    program.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", new_process)
    return _export(program)


def open_service_filter() -> int:
    """Return a descriptor of the filter of a process that, once started, only computes and talks to its launcher.

    The caller closes it.
    """
    program = _build_filter([*_NEVER, *_NEVER_AFTER_START, "clone", "clone3"])
    return _export(program)


def _build_filter(names: Sequence[str]) -> Any:
    import pyseccomp

    program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in names:
        # Some calls don't exist on every architecture: what the kernel lacks needs no rule.
        if _exists(name):
            program.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    return program


def _refuse_clone_flags(program: Any) -> None:
    import pyseccomp

    # A filter can't read clone3's flags, which lie in memory; glibc falls back to clone on ENOSYS.
    program.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _NAMESPACE_FLAGS:
        program.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))


def _exists(name: str) -> bool:
    import pyseccomp

    return int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)) >= 0


def _export(program: Any) -> int:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        program.export_bpf(file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
