"""The Gramine manifest of an enclave: everything that decides what runs inside, and MRENCLAVE covers all of it.

Rendered from the image and the size class alone: no template, no environment, no path of the building machine but
Gramine's own. Keys are those that Gramine 1.9 documents (Documentation/manifest-syntax.rst). It must never hold a key
whose name says `insecure`, an allowed file, an argument or a variable that the host chooses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from heartify.errors import UsageError
from heartify.protocol.size_class import SizeClass
from heartify.tee.gramine.image import GRAMINE_ENTRY_FILE
from heartify.tee.gramine.toml_lines import Value, encode_toml_lines
from heartify.tee.gramine.trusted_files import TrustedFile, image_uri
from heartify.tee.image import EnclaveImage, FileRole

INSIDE = PurePosixPath("/image")
ATTESTATION_FOLDER = "/dev/attestation"
# "HF": tells this app's enclaves from others of the same signer.
ISV_PROD_ID = 0x4846
# Gramine's three helper threads, the main one, and those of a fit, which never asks for more than a few. A thread costs
# about 0.4 MB of enclave memory, used or not.
_MAX_THREADS = 32
_GIB = 1024**3
# For Gramine, the interpreter, the libraries and the image's pages, which the size class doesn't count.
_OVERHEAD_BYTES = 1 * _GIB
_VERSION = re.compile(r"(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)")
_SVN_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LibOs:
    """Gramine's library OS, which runs inside: its path in the installation, and its SHA-256 in hex."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GramineManifest:
    """What is rendered. `app_version` gives the security version number; `edmm` adds memory on demand.

    Without `edmm` the whole enclave is committed at start, which a size class of 48 GiB makes slow and dear; with it,
    Gramine refuses processors that can't (before Ice Lake) and kernels before 6.0.
    """

    image: EnclaveImage
    trusted_files: tuple[TrustedFile, ...]
    libos: LibOs
    size_class: SizeClass
    app_version: str
    edmm: bool = True

    def render(self) -> str:
        """Return the manifest as TOML. Raises EnclaveError for a name that can't stand in one."""
        return encode_toml_lines([*self._loader_entries(), *self._file_entries(), *self._sgx_entries()])

    @property
    def enclave_bytes(self) -> int:
        """Return the enclave's size: the next power of two, as SGX wants it, that holds the size class."""
        return 1 << (self.size_class.max_memory_bytes + _OVERHEAD_BYTES - 1).bit_length()

    def _loader_entries(self) -> list[tuple[str, Value]]:
        interpreter = str(INSIDE / FileRole.INTERPRETER.value / "python3")
        entry_file = str(INSIDE / FileRole.BOOTSTRAP.value / GRAMINE_ENTRY_FILE)
        environment: list[tuple[str, Value]] = [
            (f"loader.env.{name}", value.replace("{system}", self.image.loader_folder))
            for name, value in sorted(self.image.environment)
        ]
        return [
            ("loader.entrypoint.uri", f"file:{self.libos.path}"),
            ("loader.entrypoint.sha256", self.libos.sha256),
            ("libos.entrypoint", interpreter),
            ("loader.argv", [interpreter, *self.image.arguments, entry_file, self.image.entry, ATTESTATION_FOLDER]),
            *environment,
            # More than errors may tell the host of data; less would hide why an enclave didn't start.
            ("loader.log_level", "error"),
            # Linux's default; threads of numpy and scipy are written for it.
            ("sys.stack.size", "8M"),
            # Each child would be another enclave; nothing inside needs one.
            ("sys.disallow_subprocesses", True),
        ]

    def _file_entries(self) -> list[tuple[str, Value]]:
        # The root is memory, so no folder of the host is visible by default. It is mounted first: a tmpfs that is
        # mounted later would hide what was mounted below it before.
        return [
            ("fs.root.type", "tmpfs"),
            (
                "fs.mounts",
                [
                    {"path": str(INSIDE), "uri": image_uri()},
                    {"path": self.image.loader_folder, "uri": image_uri(FileRole.SYSTEM.value)},
                ],
            ),
        ]

    def _sgx_entries(self) -> list[tuple[str, Value]]:
        return [
            ("sgx.debug", False),
            ("sgx.enclave_size", f"{self.enclave_bytes // _GIB}G"),
            ("sgx.edmm_enable", self.edmm),
            ("sgx.max_threads", _MAX_THREADS),
            # Not used inside; left open, a host with AMX gets an enclave with XFRM bits that policies don't expect.
            ("sgx.cpu_features.amx", "disabled"),
            ("sgx.remote_attestation", "dcap"),
            ("sgx.isvprodid", ISV_PROD_ID),
            ("sgx.isvsvn", security_version(self.app_version)),
            ("sgx.file_check_policy", "strict"),
            ("sgx.trusted_files", [{"uri": file.uri, "sha256": file.sha256} for file in sorted(self.trusted_files)]),
        ]


def security_version(app_version: str) -> int:
    """Return ISVSVN of an app version: 4096 a major, 64 a minor, 1 a patch, so that it rises with every release.

    Raises:
        UsageError: not MAJOR.MINOR.PATCH below 16.64.64, and so no release.
    """
    match = _VERSION.fullmatch(app_version)
    major, minor, patch = (int(part) for part in match.groups()) if match else (_SVN_STEPS, 0, 0)
    if major >= 16 or minor >= _SVN_STEPS or patch >= _SVN_STEPS:
        raise UsageError(
            f"app version {app_version[:40]!r} has no security version number",
            hint="a release is MAJOR.MINOR.PATCH, below 16.64.64",
        )
    return (major * _SVN_STEPS + minor) * _SVN_STEPS + patch
