"""A tiny enclave program for the launcher's tests: it does what it is asked over its channel, and tries to break out.

It runs inside the enclave process as `probe_enclave:main`; no test module imports it.
"""

# It attacks by the plainest means, so the rules on paths and closing files are off.
# ruff: noqa: PTH102, PTH118, PTH120, PTH123, PTH208, SIM115, S606
from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
import threading
import time

from heartify.protocol.frames import encode_frame, read_frame


def main(channel_fd: int) -> None:
    channel = socket.socket(fileno=channel_fd)

    def receive(count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = channel.recv(count - len(data))
            if not chunk:
                raise SystemExit(0)
            data += chunk
        return data

    while True:
        header, body = read_frame(receive)
        command = header["do"]
        if command == "exit":
            raise SystemExit(header["status"])
        reply, reply_body = COMMANDS[command](header, body)
        channel.sendall(reply_body if command == "garbage" else encode_frame(reply, reply_body))


def _echo(header, body):
    return {"echo": header["text"], "measured_path": sys.path[:2]}, body[::-1]


def _fail(header, body):
    raise ValueError("PATIENT-CANARY-4711")


def _print(header, body):
    print("PATIENT-CANARY-4711", flush=True)
    sys.stderr.write("PATIENT-CANARY-4711\n")
    os.write(1, b"PATIENT-CANARY-4711")
    return {}, b""


def _sleep(header, body):
    time.sleep(header["seconds"])
    return {}, b""


def _garbage(header, body):
    return {}, b"\xff" * 4096


def _allocate(header, body):
    try:
        size = len(bytearray(header["bytes"]))
    except MemoryError:
        return {"result": "denied"}, b""
    return {"result": size}, b""


def _try(action) -> str:
    try:
        action()
    except (OSError, subprocess.SubprocessError) as exc:
        return f"denied {type(exc).__name__}"
    return "ALLOWED"


def _fork():
    if os.fork() == 0:
        os._exit(0)


def _system_call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _escape(header, body):
    attempts = {
        "inet socket": lambda: socket.socket(socket.AF_INET),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "exec": lambda: os.execv(sys.executable, ["python3", "-c", "pass"]),
        "subprocess": lambda: subprocess.run([sys.executable, "-c", "pass"], check=False),
        "fork": _fork,
        "read /etc/passwd": lambda: open("/etc/passwd").read(),
        "read /root": lambda: os.listdir("/root"),
        "read /home": lambda: os.listdir("/home"),
        "write /tmp": lambda: open("/tmp/x", "w"),
        "write /dev/shm": lambda: open("/dev/shm/x", "w"),
        "write /": lambda: open("/x", "w"),
        "write image": lambda: open(os.path.join(sys.path[0], "x"), "w"),
        "change image": lambda: open(os.path.join(sys.path[0], "heartify/errors.py"), "a"),
        "mkdir /proc": lambda: os.mkdir("/proc/x"),
        "write sysctl": lambda: open("/proc/sys/kernel/hostname", "w").write("x"),
        "become root": lambda: os.setuid(0),
        "kill host": lambda: os.kill(header["host_pid"], 0),
    }
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        attempts["ptrace"] = lambda: _system_call(101, 16, 1, 0, 0)
        attempts["unshare user"] = lambda: _system_call(272, 0x10000000)
        attempts["bpf"] = lambda: _system_call(321, 0, 0, 0)
        attempts["io_uring"] = lambda: _system_call(425, 1, 0)
    if not header["filtered"]:
        for name in (
            "exec",
            "fork",
            "subprocess",
            "inet socket",
            "unix socket",
            "netlink socket",
            "ptrace",
            "unshare user",
            "bpf",
            "io_uring",
        ):
            attempts.pop(name, None)
    return {name: _try(action) for name, action in attempts.items()}, b""


# Numbers of x86-64, from the kernel's arch/x86/entry/syscalls/syscall_64.tbl.
SYSTEM_CALLS = {
    "add_key": 248,
    "bpf": 321,
    "chroot": 161,
    "clone3": 435,
    "execve": 59,
    "execveat": 322,
    "finit_module": 313,
    "fork": 57,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "init_module": 175,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "memfd_create": 319,
    "mount": 165,
    "mount_setattr": 442,
    "move_mount": 429,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "open_tree": 428,
    "perf_event_open": 298,
    "personality": 135,
    "pidfd_getfd": 438,
    "pivot_root": 155,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "ptrace": 101,
    "request_key": 249,
    "setns": 308,
    "setresuid": 117,
    "socket": 41,
    "socketpair": 53,
    "umount2": 166,
    "unshare": 272,
    "userfaultfd": 323,
    "vfork": 58,
    "vmsplice": 278,
}


def _listing(folder):
    """Return the names in a folder, or None where file rules hide it."""
    try:
        return sorted(os.listdir(folder))
    except PermissionError:
        return None


def _call_the_system(header, body):
    ends = {}
    for name, number in SYSTEM_CALLS.items():
        try:
            # PTRACE_TRACEME is 0, and a process traced by an init that doesn't know it hangs: ask to attach instead.
            _system_call(number, 16 if name == "ptrace" else 0, 0, 0, 0, 0, 0)
        except OSError as exc:
            ends[name] = errno.errorcode[exc.errno]
        else:
            ends[name] = "ALLOWED"
    return ends, b""


def _describe(header, body):
    results = []
    threads = [threading.Thread(target=results.append, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "threads": len(results),
        "environment": dict(os.environ),
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "descriptors": _listing("/proc/self/fd"),
        "root": _listing("/"),
        "arguments": sys.argv[1],
    }, b""


def _import(header, body):
    from heartify.enclave.lean_numpy import hide_unused_numpy

    hide_unused_numpy()
    import numpy as np
    import scipy.linalg
    import scipy.special
    from coincurve import PrivateKey
    from Crypto.Hash import keccak  # noqa: F401
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: F401
    from cryptography.hazmat.primitives.hpke import KEM  # noqa: F401

    outside = [
        module.__file__
        for module in sys.modules.values()
        if getattr(module, "__file__", None) and not module.__file__.startswith(os.path.dirname(sys.path[0]))
    ]
    solved = scipy.linalg.solve(np.eye(2), np.ones(2)).tolist()
    return {
        "outside": outside,
        "solved": solved,
        "expit": float(scipy.special.expit(0.0)),
        "key": len(PrivateKey().secret),
    }, b""


COMMANDS = {
    "echo": _echo,
    "fail": _fail,
    "print": _print,
    "sleep": _sleep,
    "garbage": _garbage,
    "allocate": _allocate,
    "escape": _escape,
    "system calls": _call_the_system,
    "describe": _describe,
    "import": _import,
}
