"""Which files belong to an enclave image, found in this installation.

Our own files are listed by rule, because the list is a security decision; third-party files come from the
distributions' own records. What is dropped can't be imported inside: the enclave sees measured files and no others.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import heartify
from heartify.errors import EnclaveError
from heartify.tee.image import ENCLAVE_ENTRY, EnclaveImage, FileRole, ImageFile
from heartify.tee.system_libraries import find_loader, find_system_libraries

# What heartify.enclave may import (architecture: enclave reaches protocol, stats, disclosure and the cohort reader).
ENCLAVE_SOURCES = (
    "__init__.py",
    "errors.py",
    "protocol/*.py",
    "stats/**/*.py",
    "disclosure/**/*.py",
    "cohort/__init__.py",
    "cohort/encrypted/__init__.py",
    "cohort/encrypted/bit_planes.py",
    "cohort/encrypted/column_crypto.py",
    "cohort/encrypted/column_file.py",
    "cohort/encrypted/decoding.py",
    "cohort/encrypted/reader.py",
    "cohort/encrypted/stored_form.py",
    "enclave/**/*.py",
)
# cffi: the C call interface that coincurve and cryptography load.
ENCLAVE_DISTRIBUTIONS = (
    "cffi",
    "coincurve",
    "cryptography",
    "msgspec",
    "numpy",
    "pycryptodome",
    "rfc8785",
    "scipy",
)
BOOTSTRAP_FILE = "bootstrap.py"
_FOLDERS_NEVER_NEEDED = frozenset({"__pycache__", "tests", "test", "include", "idlelib", "tkinter", "turtledemo"})
_SUFFIXES_NEVER_NEEDED = frozenset({".pyc", ".pyi", ".pyx", ".pxd", ".h", ".hpp", ".c", ".cc", ".cpp", ".a", ".f90"})
_SITE_NEVER_NEEDED = (
    "*.dist-info/*",
    "Crypto/SelfTest/*",
    "numpy/distutils/*",
)
_STANDARD_LIBRARY_NEVER_NEEDED = (
    "site-packages/*",
    "dist-packages/*",
    "config-*/*",
    "distutils/*",
    "ensurepip/*",
    "lib2to3/*",
    "msilib/*",
    "pydoc_data/*",
    "sqlite3/*",
    "venv/*",
    "EXTERNALLY-MANAGED",
    "sitecustomize.py",
    # Extension modules that bring large libraries: windows, terminals, databases, networks.
    "lib-dynload/_curses*",
    "lib-dynload/_dbm*",
    "lib-dynload/_gdbm*",
    "lib-dynload/_sqlite3*",
    "lib-dynload/_ssl*",
    "lib-dynload/_test*",
    "lib-dynload/_tkinter*",
    "lib-dynload/_xx*",
    "lib-dynload/nis*",
    "lib-dynload/readline*",
    "lib-dynload/xx*",
)


def build_enclave_image(
    *,
    entry: str = ENCLAVE_ENTRY,
    extra_app_files: Mapping[str, Path] = {},
    distributions: Sequence[str] = ENCLAVE_DISTRIBUTIONS,
) -> EnclaveImage:
    """List the files of an enclave that starts at `entry`, a `module:function` called with the channel's descriptor.

    `extra_app_files` maps relative names to files of another enclave program. Raises EnclaveError when a distribution
    or library is missing here.
    """
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    python_files = [
        *_standard_library_files(),
        *(file for name in distributions for file in _distribution_files(name)),
        ImageFile(FileRole.INTERPRETER, "python3", interpreter),
    ]
    loader = find_loader(interpreter)
    binaries = [file.source for file in python_files if file.role is FileRole.INTERPRETER or ".so" in file.path]
    libraries = {**find_system_libraries(binaries), loader.name: loader}
    files = [
        *python_files,
        *(ImageFile(FileRole.SYSTEM, name, path) for name, path in libraries.items()),
        *_heartify_files(),
        *(ImageFile(FileRole.APP, name, path) for name, path in extra_app_files.items()),
        ImageFile(FileRole.BOOTSTRAP, BOOTSTRAP_FILE, Path(__file__).with_name(BOOTSTRAP_FILE)),
    ]
    return EnclaveImage(tuple(sorted(files)), entry, platform.python_version(), str(loader.parent))


def _heartify_files() -> Iterator[ImageFile]:
    package = Path(heartify.__file__).parent
    for pattern in ENCLAVE_SOURCES:
        for source in sorted(package.glob(pattern)):
            yield ImageFile(FileRole.APP, f"heartify/{source.relative_to(package).as_posix()}", source)


def _distribution_files(name: str) -> Iterator[ImageFile]:
    try:
        records = importlib.metadata.distribution(name).files
    except importlib.metadata.PackageNotFoundError as exc:
        raise EnclaveError(f"enclave image: distribution {name} is not installed") from exc
    if not records:
        raise EnclaveError(f"enclave image: distribution {name} has no record of its files")
    for record in records:
        path = PurePosixPath(record.as_posix())
        # Scripts are recorded as ../../../bin/name and are no part of the library.
        if ".." not in path.parts and not path.is_absolute() and _is_needed(path, _SITE_NEVER_NEEDED):
            yield ImageFile(FileRole.SITE, str(path), Path(str(record.locate())))


def _standard_library_files() -> Iterator[ImageFile]:
    folder = Path(sysconfig.get_path("stdlib"))
    for source in _walk_needed(folder, folder):
        path = PurePosixPath(source.relative_to(folder).as_posix())
        yield ImageFile(FileRole.STANDARD_LIBRARY, f"{folder.name}/{path}", source)


def _walk_needed(folder: Path, top: Path) -> Iterator[Path]:
    for child in folder.iterdir():
        path = PurePosixPath(child.relative_to(top).as_posix())
        if child.is_dir():
            if _is_needed(path / "any", _STANDARD_LIBRARY_NEVER_NEEDED):
                yield from _walk_needed(child, top)
        elif child.is_file() and _is_needed(path, _STANDARD_LIBRARY_NEVER_NEEDED):
            yield child


def _is_needed(path: PurePosixPath, never_needed: Sequence[str]) -> bool:
    if path.suffix in _SUFFIXES_NEVER_NEEDED or not _FOLDERS_NEVER_NEEDED.isdisjoint(path.parts[:-1]):
        return False
    return not any(fnmatch(str(path), pattern) for pattern in never_needed)
