"""The closure of shared libraries outside Python that an enclave image needs: libc, libm, libstdc++ and the loader.

With them inside the image, the sandbox needs nothing of the host's file system, and what runs is what was measured.
A library that can't be found is an error: leaving it out would fail later, inside, where nothing may be printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from heartify.errors import EnclaveError
from heartify.tee.elf import load_elf_needs

# Debian and Red Hat layouts; the interpreter's own prefix first, for a Python that brings its libpython.
_LIBRARY_FOLDERS = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)


def find_loader(interpreter: Path) -> Path:
    """Return the dynamic loader that an executable names. Raises EnclaveError when it names none."""
    needs = load_elf_needs(interpreter)
    if needs is None or needs.interpreter is None:
        raise EnclaveError(f"enclave image: {interpreter.name} is not a dynamically linked 64-bit executable")
    return Path(needs.interpreter)


def find_system_libraries(binaries: Iterable[Path]) -> dict[str, Path]:
    """Return name and path of every library that the binaries need, directly or not, and don't bring themselves.

    Raises EnclaveError for one that is in no library folder of this machine.
    """
    pending = list(binaries)
    own_names = {path.name for path in pending}
    found: dict[str, Path] = {}
    while pending:
        path = pending.pop()
        needs = load_elf_needs(path)
        for name in needs.libraries if needs else ():
            if name in own_names or name in found:
                continue
            found[name] = _find_library(name, needed_by=path)
            pending.append(found[name])
    return found


def _find_library(name: str, needed_by: Path) -> Path:
    for folder in (f"{sys.base_prefix}/lib", *_LIBRARY_FOLDERS):
        candidate = Path(folder) / name
        if candidate.is_file():
            return candidate
    raise EnclaveError(f"enclave image: library {name}, needed by {needed_by.name}, is not installed")
