"""The sandbox of the simulated TEE: which command starts an enclave process, under which isolation.

bubblewrap gives a file system of the image copy alone, no network, no other process, no capability.
It gives no protection from root, from the kernel, or from physical access: hence the word simulated in every quote.
An ordinary user gets a user namespace; root gets a user id per enclave instead, because the owner of a user namespace
may read the memory of whatever was executed in it.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage, FileRole
from heartify.tee.image_contents import BOOTSTRAP_FILE
from heartify.tee.image_copy import ImageCopy
from heartify.tee.simulated.sealed_image import SealedFile
from heartify.tee.simulated.user_ids import runs_as_root

_INSIDE = Path("/image")
_INSIDE_USER_ID = "1000"
_PROBE_SECONDS = 10


class SandboxMode(StrEnum):
    """How an enclave process is started on this machine; what is in force then, `isolation_in_force` finds."""

    BUBBLEWRAP = "bubblewrap"
    UNSAFE_PLAIN_PROCESS = "unsafe-plain-process"


def choose_sandbox_mode(wanted: str) -> SandboxMode:
    """Return the mode for `auto`, `bubblewrap` or `unsafe-plain-process`.

    Raises EnclaveError for another word, and when bubblewrap is wanted and doesn't work here.
    """
    if wanted == SandboxMode.UNSAFE_PLAIN_PROCESS:
        return SandboxMode.UNSAFE_PLAIN_PROCESS
    if wanted not in {"auto", "bubblewrap"}:
        raise EnclaveError(f"sandbox {wanted[:40]!r} is unknown", hint="auto, bubblewrap or unsafe-plain-process")
    if can_bubblewrap():
        return SandboxMode.BUBBLEWRAP
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
    return not runs_as_root()


def build_sandbox_arguments(
    image: EnclaveImage, files: Sequence[SealedFile], *, launch_filter_fd: int | None, user_namespace: bool
) -> list[str]:
    """Build bubblewrap's arguments: namespaces, environment, and a file system filled from sealed memory."""
    arguments = [*_namespace_arguments(user_namespace), "--die-with-parent", "--new-session"]
    arguments += ["--hostname", "enclave", "--clearenv"]
    for name, value in build_environment(image.environment, Path(image.loader_folder)).items():
        arguments += ["--setenv", name, value]
    for sealed in files:
        if sealed.file.is_executable:
            arguments += ["--perms", "0555"]
        arguments += ["--file", str(sealed.descriptor), str(_INSIDE / sealed.file.place)]
    # The kernel looks for the loader of programs where the interpreter's header says.
    arguments += ["--symlink", str(_INSIDE / FileRole.SYSTEM.value), image.loader_folder]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/"]
    for folder in ("/dev", "/proc", "/"):
        arguments += ["--remount-ro", folder]
    if launch_filter_fd is not None:
        arguments += ["--seccomp", str(launch_filter_fd)]
    return arguments


def build_sandboxed_command(image: EnclaveImage, arguments_fd: int, options: str) -> list[str]:
    """Build the command of a sandboxed enclave; `arguments_fd` has bubblewrap's arguments, each ended by a zero byte.

    `options` is the bootstrap's JSON.
    """
    return ["bwrap", "--args", str(arguments_fd), "--", *_interpreter_command(_INSIDE, image, options)]


def build_plain_command(copy: ImageCopy, options: str) -> list[str]:
    """Build the command of an enclave without a sandbox: the measured copy, and nothing that holds it in."""
    return _interpreter_command(copy.folder, copy.image, options)


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


def _interpreter_command(root: Path, image: EnclaveImage, options: str) -> list[str]:
    interpreter = root / FileRole.INTERPRETER.value / "python3"
    bootstrap = root / FileRole.BOOTSTRAP.value / BOOTSTRAP_FILE
    return [str(interpreter), *image.arguments, str(bootstrap), options]
