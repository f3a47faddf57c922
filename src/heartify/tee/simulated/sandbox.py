"""The sandbox of the simulated TEE: which command starts an enclave process, under which isolation.

bubblewrap gives a file system of the image copy alone, no network, no other process, no capability.
It gives no protection from root, from the kernel, or from physical access: hence the word simulated in every quote.
An ordinary user gets a user namespace; root gets a user id per enclave instead, because the owner of a user namespace
may read the memory of whatever was executed in it.
"""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path

from heartify.errors import EnclaveError
from heartify.tee.image import FileRole
from heartify.tee.image_contents import BOOTSTRAP_FILE
from heartify.tee.image_copy import ImageCopy
from heartify.tee.simulated.system_call_filter import can_filter_system_calls

_INSIDE = Path("/image")
_INSIDE_USER_ID = "1000"
# The range that systemd gives to dynamic users: no account of people or services lies there.
_FIRST_DYNAMIC_USER, _LAST_DYNAMIC_USER = 61184, 65519
_PROBE_SECONDS = 10


class SandboxMode(StrEnum):
    """How an enclave process is started on this machine; what is in force then, `attestation.isolation` names."""

    BUBBLEWRAP_SECCOMP = "bubblewrap+seccomp"
    BUBBLEWRAP = "bubblewrap"
    UNSAFE_PLAIN_PROCESS = "unsafe-plain-process"


def choose_sandbox_mode(wanted: str) -> SandboxMode:
    """Return the mode for `auto`, `bubblewrap` or `unsafe-plain-process`.

    Raises EnclaveError for another word, and when bubblewrap is wanted and doesn't work here.
    """
    if wanted == SandboxMode.UNSAFE_PLAIN_PROCESS:
        return SandboxMode.UNSAFE_PLAIN_PROCESS
    if wanted not in {"auto", "bubblewrap"}:
        raise EnclaveError(f"isolation {wanted[:40]!r} is unknown", hint="auto, bubblewrap or unsafe-plain-process")
    if can_bubblewrap():
        return SandboxMode.BUBBLEWRAP_SECCOMP if can_filter_system_calls() else SandboxMode.BUBBLEWRAP
    if wanted == "bubblewrap":
        raise EnclaveError("bubblewrap is absent or may not make namespaces here", hint="install bubblewrap")
    return SandboxMode.UNSAFE_PLAIN_PROCESS


@functools.cache
def can_bubblewrap() -> bool:
    """Say whether bubblewrap is installed and works for this user, by starting an empty sandbox once."""
    if shutil.which("bwrap") is None:
        return False
    probe = ["bwrap", *_namespace_arguments(needs_user_namespace()), "--ro-bind", "/", "/", "--", "/bin/true"]
    try:
        done = subprocess.run(
            probe,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def needs_user_namespace() -> bool:
    """Say whether this process must use a user namespace, as every user but root must."""
    return os.geteuid() != 0


def choose_enclave_user_id() -> int:
    """Return a user id for one enclave that no account has. Raises EnclaveError when chance finds none."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for _ in range(64):
        user_id = _FIRST_DYNAMIC_USER + secrets.randbelow(_LAST_DYNAMIC_USER - _FIRST_DYNAMIC_USER + 1)
        if user_id not in taken:
            return user_id
    raise EnclaveError("no free user id for an enclave")


def build_bubblewrap_command(
    copy: ImageCopy, options: str, *, launch_filter_fd: int | None, user_namespace: bool
) -> list[str]:
    """Build the command of a sandboxed enclave. `options` is the bootstrap's JSON, `launch_filter_fd` a BPF program."""
    arguments = ["bwrap", *_namespace_arguments(user_namespace), "--die-with-parent", "--new-session"]
    arguments += ["--hostname", "enclave", "--clearenv"]
    environment = build_environment(copy.image.environment, Path(copy.image.loader_folder))
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    arguments += [
        *("--ro-bind", str(copy.folder), str(_INSIDE)),
        *("--ro-bind", str(copy.folder / FileRole.SYSTEM.value), copy.image.loader_folder),
        *(
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--remount-ro",
            "/dev",
            "--remount-ro",
            "/proc",
            "--remount-ro",
            "/",
            "--chdir",
            "/",
        ),
    ]
    if launch_filter_fd is not None:
        arguments += ["--seccomp", str(launch_filter_fd)]
    return [*arguments, "--", *_interpreter_command(_INSIDE, copy, options)]


def build_plain_command(copy: ImageCopy, options: str) -> list[str]:
    """Build the command of an enclave without a sandbox: the measured copy, and nothing that holds it in."""
    return _interpreter_command(copy.folder, copy, options)


def build_environment(environment: tuple[tuple[str, str], ...], system_folder: Path) -> dict[str, str]:
    """Return the measured environment with the folder of system libraries filled in."""
    return {name: value.replace("{system}", str(system_folder)) for name, value in environment}


def _namespace_arguments(user_namespace: bool) -> list[str]:
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if user_namespace:
        identity = ["--uid", _INSIDE_USER_ID, "--gid", _INSIDE_USER_ID]
        return [*spaces, "--unshare-user", "--disable-userns", "--cap-drop", "ALL", *identity]
    # Only what the bootstrap needs to become the enclave's own user; changing the user id drops both.
    return [*spaces, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


def _interpreter_command(root: Path, copy: ImageCopy, options: str) -> list[str]:
    interpreter = root / FileRole.INTERPRETER.value / "python3"
    bootstrap = root / FileRole.BOOTSTRAP.value / BOOTSTRAP_FILE
    return [str(interpreter), *copy.image.arguments, str(bootstrap), options]
