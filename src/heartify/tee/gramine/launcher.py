"""The launchers of Gramine: SGX enclaves of hardware, and the same program without any for looking for mistakes.

An SGX enclave quotes itself, so its host has nothing to say about it: `quote` refuses. The measurement is what was
signed, and the processor starts nothing else under that signature. gramine-direct runs the same image without SGX and
protects nothing: it has no evidence, so no broker gives it a key, and no TEE kind, so no pool can offer it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self

from heartify.errors import EnclaveError, InputError
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.gramine.build import CHECKED, read_manifest, read_signed_build
from heartify.tee.gramine.host_check import SgxHost
from heartify.tee.gramine.installation import find_tool
from heartify.tee.gramine.manifest_check import check_manifest
from heartify.tee.gramine.process import GramineProcesses
from heartify.tee.gramine.trusted_files import check_trusted_files, parse_trusted_files
from heartify.tee.limits import EnclaveLimits
from heartify.tee.running_enclave import RunningEnclave

GRAMINE_SGX = "gramine-sgx"
UNSAFE_GRAMINE_DIRECT = "unsafe-gramine-direct"


class GramineSgxLauncher:
    """Starts the signed enclave in a build's folder, such as `heartify enclave gramine-sign` makes.

    `program` is Gramine's starter; `log_file` takes Gramine's own errors. Of the limits the processor time is enforced
    here; the memory is the enclave's size, which is measured. Raises EnclaveError or IntegrityError for a build that
    isn't a production enclave or changed since it was signed, and EnclaveError for a machine that can't start it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: EnclaveLimits | None = None,
        host: SgxHost | None = None,
        program: str = GRAMINE_SGX,
        log_file: Path | None = None,
    ) -> None:
        self._limits = limits or EnclaveLimits()
        self._host = host or SgxHost()
        self._build = read_signed_build(folder)
        check_trusted_files(self._build.trusted_files, folder)
        self._host.check()
        self._processes = GramineProcesses(find_tool(program), folder, log_file)

    @property
    def tee_kind(self) -> TeeKind:
        """Return SGX."""
        return TeeKind.SGX

    @property
    def measurement(self) -> bytes:
        """Return MRENCLAVE as it was signed, 32 bytes."""
        return self._build.sigstruct.mr_enclave

    @property
    def isolation(self) -> str:
        """Return what surrounds the enclaves: the processor, through Gramine."""
        return GRAMINE_SGX

    def launch(self, limits: EnclaveLimits | None = None) -> RunningEnclave:
        """Start one enclave. Raises EnclaveError when it can't be started."""
        self._host.check()
        process, channel = self._processes.start(limits or self._limits)
        return RunningEnclave(
            process, channel, measurement=self.measurement, isolation=self.isolation, quoter=_refuse_to_quote
        )

    def close(self) -> None:
        """End the starting thread, and with it every enclave that still runs."""
        self._processes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class UnsafeGramineDirectLauncher:
    """Starts a staged build under gramine-direct, without SGX: for finding out what Gramine lacks, never for data.

    It is no launcher of a pool: it has neither TEE kind nor measurement. Raises EnclaveError for a build that changed.
    """

    def __init__(self, folder: Path, *, limits: EnclaveLimits | None = None, program: str = "gramine-direct") -> None:
        self._limits = limits or EnclaveLimits()
        manifest = read_manifest(folder / CHECKED)
        check_manifest(manifest)
        check_trusted_files(parse_trusted_files(manifest), folder)
        self._processes = GramineProcesses(find_tool(program), folder, None)

    @property
    def isolation(self) -> str:
        """Return that nothing isolates it."""
        return UNSAFE_GRAMINE_DIRECT

    def launch(self, limits: EnclaveLimits | None = None) -> RunningEnclave:
        """Start one process. Raises EnclaveError when it can't be started."""
        process, channel = self._processes.start(limits or self._limits)
        return RunningEnclave(
            process, channel, measurement=bytes(32), isolation=self.isolation, quoter=_refuse_without_hardware
        )

    def close(self) -> None:
        """End the starting thread, and with it every process that still runs."""
        self._processes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def stage_for_direct(folder: Path) -> None:
    """Give a staged build the manifest's name that gramine-direct reads. Raises InputError when nothing is staged."""
    try:
        shutil.copyfile(folder / f"{CHECKED}.in", folder / CHECKED)
    except OSError as exc:
        raise InputError(f"{folder.name} holds no staged build") from exc


def _refuse_to_quote(_report_data: bytes) -> Evidence:
    raise EnclaveError("an SGX enclave quotes itself: its host has no evidence of it")


def _refuse_without_hardware(_report_data: bytes) -> Evidence:
    raise EnclaveError("gramine-direct protects nothing and has no evidence")
