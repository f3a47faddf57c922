"""The launcher of confidential VMs: one guest by QEMU for each enclave, Intel TDX or AMD SEV-SNP.

The guest quotes itself, so its host has nothing to say about it: `quote` refuses. The measurement is what was
registered for the build; the processor states its own, and a broker believes only that. Killing QEMU ends the guest and
its memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final, Self

from heartify.errors import EnclaveError
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.confidential_vm.build import read_build
from heartify.tee.confidential_vm.connection import Connector, VsockConnector, connect_to_guest
from heartify.tee.confidential_vm.guest_image import GUEST_PORT
from heartify.tee.confidential_vm.qemu import QEMU, build_qemu_command
from heartify.tee.confidential_vm.vm_host import VmHost, load_vm_host
from heartify.tee.gramine import start
from heartify.tee.limits import EnclaveLimits
from heartify.tee.running_enclave import RunningEnclave

# Kernel, unpacked image and page tables, beside what the enclave itself may use.
GUEST_OVERHEAD_BYTES: Final = 768 * 2**20
START_SECONDS: Final = 120.0


class ConfidentialVmLauncher:
    """Starts the registered guest in a build's folder, see `build`; `host` is otherwise read from there, see `vm_host`.

    `log_file` takes QEMU's own errors. The memory is the guest's, which is measured, so limits that ask for more are
    refused; the processor time is enforced on QEMU. Raises InputError or EnclaveError for a build that isn't whole, and
    EnclaveError for a machine without QEMU.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: VmHost | None = None,
        limits: EnclaveLimits | None = None,
        program: str = QEMU,
        connector: Connector | None = None,
        log_file: Path | None = None,
    ) -> None:
        self._build = read_build(folder)
        self._host = host or load_vm_host(folder)
        self._limits = limits or EnclaveLimits(memory_bytes=self._build.memory_bytes - GUEST_OVERHEAD_BYTES)
        self._connector = connector or VsockConnector()
        self._program = _find_program(program)
        self._log_file = log_file
        # A process that dies with its parent dies with the thread that started it, so one thread outlives all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vm-starter")

    @property
    def tee_kind(self) -> TeeKind:
        """Return TDX or SEV_SNP, as the build was registered."""
        return self._build.tee_kind

    @property
    def measurement(self) -> bytes:
        """Return the registered measurement, 48 bytes."""
        return self._build.measurement

    @property
    def isolation(self) -> str:
        """Return what surrounds the enclaves: the processor, around a virtual machine."""
        return f"confidential-vm ({self.tee_kind.wire_name})"

    def launch(self, limits: EnclaveLimits | None = None) -> RunningEnclave:
        """Start one guest and connect to its enclave. Raises EnclaveError when that can't be done."""
        chosen = limits or self._limits
        if chosen.memory_bytes + GUEST_OVERHEAD_BYTES > self._build.memory_bytes:
            raise EnclaveError(
                f"the registered guest has {self._build.memory_bytes // 2**20} MiB, too few for this size class",
                hint="register a guest with more memory; its measurement is another one",
            )
        self._build.check_files()
        # Addresses are the whole machine's; a chance meeting with another guest's makes QEMU refuse to start.
        cid = 3 + secrets.randbelow(0x7FFFFFFF)
        command_line = self._build.path_of("cmdline").read_text(encoding="ascii").strip()
        command = build_qemu_command(self._program, self._build, self._host, cid=cid, command_line=command_line)
        process = self._start(command, chosen)
        try:
            channel = connect_to_guest(
                self._connector,
                cid,
                GUEST_PORT,
                timeout_seconds=START_SECONDS,
                is_alive=lambda: process.poll() is None,
            )
        except BaseException:
            _end(process)
            raise
        return RunningEnclave(
            process, channel, measurement=self.measurement, isolation=self.isolation, quoter=_refuse_to_quote
        )

    def close(self) -> None:
        """End the starting thread, and with it every guest that still runs."""
        self._starter.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _start(self, command: list[str], limits: EnclaveLimits) -> subprocess.Popen[bytes]:
        starter = [sys.executable, "-I", "-S", str(Path(start.__file__)), str(os.getpid()), str(limits.cpu_seconds)]
        try:
            with self._open_log() as log:
                return self._starter.submit(self._start_process, [*starter, *command], log).result()
        except (OSError, RuntimeError) as exc:
            raise EnclaveError(f"QEMU can't be started: {type(exc).__name__}") from exc

    def _open_log(self) -> contextlib.AbstractContextManager[IO[bytes] | None]:
        return contextlib.nullcontext() if self._log_file is None else self._log_file.open("ab")

    @staticmethod
    def _start_process(command: list[str], log: IO[bytes] | None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if log is None else log,
            env={"PATH": os.defpath},
            cwd="/",
            start_new_session=True,
        )


def _find_program(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise EnclaveError(f"{program} is not installed", hint="install QEMU 10.1 or later")
    return str(Path(found).resolve())


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _refuse_to_quote(_report_data: bytes) -> Evidence:
    raise EnclaveError("a confidential VM quotes itself: its host has no evidence of it")
