"""The enclave image: the exact list of files that an enclave runs, and how it is started.

Names of files are relative to their role, so that two checkouts or machines with equal files have equal images.
Nothing is in the image that the enclave doesn't need: no party code, no tests, no bytecode caches, no network library.
The image trusts the installation it lists; what the files contain is the measurement's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

ENCLAVE_ENTRY = "heartify.enclave.__main__:main"
# One thread a library: sums in another order are other sums, and results must be reproducible.
# {system} stands for the folder of system libraries, wherever the image lies.
ENCLAVE_ENVIRONMENT = (
    ("ARROW_DEFAULT_MEMORY_POOL", "system"),
    ("LD_LIBRARY_PATH", "{system}"),
    ("MALLOC_ARENA_MAX", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
)
# -I: no environment, no user site; -S: no site module, so no .pth file runs; -B: no bytecode is written.
ENCLAVE_ARGUMENTS = ("-I", "-S", "-B", "-X", "utf8")


class FileRole(StrEnum):
    """What a file is for; the value is also its folder in the copy that runs."""

    APP = "app"
    SITE = "site"
    STANDARD_LIBRARY = "python/lib"
    INTERPRETER = "python/bin"
    SYSTEM = "system"
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True, order=True)
class ImageFile:
    """One file: its role, its POSIX path below the role's folder, and where it is read from on this machine."""

    role: FileRole
    path: str
    source: Path = field(compare=False)

    @property
    def is_executable(self) -> bool:
        """Say whether the kernel executes it: the interpreter, or the loader of programs."""
        return self.role is FileRole.INTERPRETER or (self.role is FileRole.SYSTEM and self.path.startswith("ld-"))

    @property
    def place(self) -> str:
        """Return its path below the folder from which an image runs."""
        return f"{self.role.value}/{self.path}"


@dataclass(frozen=True, slots=True)
class EnclaveImage:
    """What runs: files, entry `module:function`, interpreter arguments, environment, debug flag, Python version.

    `loader_folder` is where the interpreter's ELF header expects the dynamic loader, such as `/lib64`.
    """

    files: tuple[ImageFile, ...]
    entry: str
    python_version: str
    loader_folder: str
    arguments: tuple[str, ...] = ENCLAVE_ARGUMENTS
    environment: tuple[tuple[str, str], ...] = ENCLAVE_ENVIRONMENT
    debug: bool = False
