"""Which files belong to an enclave image, found in this installation.

Our own files are listed by rule, because the list is a security decision; third-party files come from the
distributions' own records as far as `image_selection` lists them, with the shared libraries that these need.
What is left out can't be imported inside: the enclave sees measured files and no others.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import heartify
from heartify.errors import EnclaveError
from heartify.tee.elf import load_elf_needs
from heartify.tee.image import ENCLAVE_ENTRY, EnclaveImage, FileRole, ImageFile
from heartify.tee.image_selection import is_wanted_of_distribution, is_wanted_of_standard_library
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
# What lies beside them and no run imports.
_SOURCES_NEVER_NEEDED = (
    "protocol/audit_anchor.py",
    "protocol/destruction.py",
    "protocol/orders.py",
    "stats/streaming/*.py",
)
# cffi: the C call interface that cryptography loads.
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
_BOOTSTRAP_FILES = (BOOTSTRAP_FILE, "landlock.py")


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
        *(ImageFile(FileRole.BOOTSTRAP, name, Path(__file__).with_name(name)) for name in _BOOTSTRAP_FILES),
    ]
    return EnclaveImage(tuple(sorted(files)), entry, platform.python_version(), str(loader.parent))


def _heartify_files() -> Iterator[ImageFile]:
    package = Path(heartify.__file__).parent
    unneeded = {source for pattern in _SOURCES_NEVER_NEEDED for source in package.glob(pattern)}
    for pattern in ENCLAVE_SOURCES:
        for source in sorted(set(package.glob(pattern)) - unneeded):
            yield ImageFile(FileRole.APP, f"heartify/{source.relative_to(package).as_posix()}", source)


def _distribution_files(name: str) -> Iterator[ImageFile]:
    try:
        records = importlib.metadata.distribution(name).files
    except importlib.metadata.PackageNotFoundError as exc:
        raise EnclaveError(f"enclave image: distribution {name} is not installed") from exc
    if not records:
        raise EnclaveError(f"enclave image: distribution {name} has no record of its files")
    modules, libraries = [], []
    for record in records:
        path = PurePosixPath(record.as_posix())
        # Scripts are recorded as ../../../bin/name and are no part of the library.
        if ".." in path.parts or path.is_absolute():
            continue
        file = ImageFile(FileRole.SITE, str(path), Path(str(record.locate())))
        if path.parts[0].endswith(".libs"):
            libraries.append(file)
        elif is_wanted_of_distribution(name, path):
            modules.append(file)
    yield from modules
    yield from _needed_libraries(modules, libraries)


def _needed_libraries(modules: Iterable[ImageFile], libraries: Iterable[ImageFile]) -> Iterator[ImageFile]:
    """Return those of a wheel's own shared libraries that its chosen modules need, directly or not."""
    by_name = {PurePosixPath(file.path).name: file for file in libraries}
    pending = [file for file in modules if ".so" in file.path]
    while pending:
        needs = load_elf_needs(pending.pop().source)
        for name in needs.libraries if needs else ():
            library = by_name.pop(name, None)
            if library is not None:
                pending.append(library)
                yield library


def _standard_library_files() -> Iterator[ImageFile]:
    folder = Path(sysconfig.get_path("stdlib"))
    for source in _files_below(folder):
        path = PurePosixPath(source.relative_to(folder).as_posix())
        if is_wanted_of_standard_library(path):
            yield ImageFile(FileRole.STANDARD_LIBRARY, f"{folder.name}/{path}", source)


def _files_below(folder: Path) -> Iterator[Path]:
    for child in folder.iterdir():
        if child.is_dir():
            # The installation's packages lie below the standard library; walking them would take seconds.
            if child.name not in {"site-packages", "dist-packages", "__pycache__", "test"}:
                yield from _files_below(child)
        elif child.is_file():
            yield child
