"""Where Gramine is installed on this machine: its library OS and C library, which run inside, and its tools.

Gramine is the vendor's own package; nothing of it is in this repository. What runs inside of it is measured: its PAL by
the signing tool, its library OS and C library by their digests in the manifest. So another version of Gramine gives
another MRENCLAVE, and an app release names the version with which it was built.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from heartify.errors import EnclaveError, UsageError
from heartify.tee.gramine.manifest import LibOs

_INSTALL_HINT = "install Gramine 1.9 from its vendor's packages: docs/how-to/run-on-sgx.md"
# Debian and Ubuntu; Red Hat; built from source.
_LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu/gramine", "lib64/gramine", "lib/gramine")
_LIBOS = "libsysdb.so"
_RUNTIME = "runtime/glibc"
_TOOL_SECONDS = 900


@dataclass(frozen=True, slots=True)
class GramineInstallation:
    """`library_folder` holds Gramine's library OS and runtimes."""

    library_folder: Path

    @classmethod
    def find(cls, library_folder: Path | None = None) -> GramineInstallation:
        """Return the installation in a folder, or the one that the tools on PATH belong to.

        Raises:
            UsageError: Gramine isn't there.
        """
        candidates = [library_folder] if library_folder else list(_folders_beside_tools())
        for folder in candidates:
            if (folder / _LIBOS).is_file() and (folder / _RUNTIME).is_dir():
                return cls(folder.resolve())
        raise UsageError("Gramine is not installed here, or its libraries lie elsewhere", hint=_INSTALL_HINT)

    @property
    def runtime_folder(self) -> Path:
        """Return the folder of Gramine's C library."""
        return self.library_folder / _RUNTIME

    def libos(self) -> LibOs:
        """Return the library OS with its digest. Raises EnclaveError when it can't be read."""
        path = self.library_folder / _LIBOS
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as exc:
            raise EnclaveError(f"Gramine's {_LIBOS} can't be read") from exc
        return LibOs(path=str(path), sha256=digest)


def find_tool(name: str) -> str:
    """Return the path of one of Gramine's programs. Raises UsageError when it isn't on PATH."""
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"{name} is not on PATH", hint=_INSTALL_HINT)
    return found


def run_tool(name: str, arguments: list[str], folder: Path) -> str:
    """Run one of Gramine's tools in a folder and return what it printed.

    Raises:
        UsageError: it isn't on PATH.
        EnclaveError: it failed, or ran for too long; the message ends with its last line.
    """
    command = [find_tool(name), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TOOL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EnclaveError(f"{name} could not be run: {type(exc).__name__}") from exc
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise EnclaveError(f"{name} failed with status {done.returncode}: {last[:300]}")
    return done.stdout


def _folders_beside_tools() -> Iterable[Path]:
    for tool in ("gramine-sgx-sign", "gramine-manifest", "gramine-sgx", "gramine-direct"):
        if found := shutil.which(tool):
            prefix = Path(found).resolve().parent.parent
            yield from (prefix / folder for folder in _LIBRARY_FOLDERS)
