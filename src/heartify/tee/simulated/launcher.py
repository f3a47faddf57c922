"""The launcher of the simulated TEE: it starts a measured enclave process, and says to the quoting service what it did.

It knows the bytes that run, because it put them there, and what surrounds them, because it looked. The enclave chooses
nothing but report data; the keys are the quoting service's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedLaunch
from heartify.errors import EnclaveError
from heartify.protocol.evidence import TeeKind
from heartify.tee.image import EnclaveImage
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.image_copy import ImageCopy, check_image_copy, copy_image, keep_image_copy
from heartify.tee.limits import EnclaveLimits
from heartify.tee.running_enclave import RunningEnclave
from heartify.tee.simulated.isolation_in_force import find_isolation, receive_start_report
from heartify.tee.simulated.peer import name_senders
from heartify.tee.simulated.quoting import Quoting, QuotingService
from heartify.tee.simulated.sandbox import (
    SandboxMode,
    build_environment,
    build_plain_command,
    build_sandbox_arguments,
    build_sandboxed_command,
    choose_sandbox_mode,
    needs_user_namespace,
)
from heartify.tee.simulated.sealed_image import SealedFile, seal_image
from heartify.tee.simulated.system_call_filter import can_filter_system_calls, open_enclave_filter, open_launch_filter
from heartify.tee.simulated.td_registers import simulated_td_registers
from heartify.tee.simulated.user_ids import choose_enclave_user_id

_START_SECONDS = 60.0
_OPEN_FILES = 4096


@dataclass(frozen=True, slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    status: socket.socket


class SimulatedLauncher:
    """Starts enclaves in the simulated TEE of kind simulated-sgx or simulated-tdx, and has `quoting` quote for them.

    `sandbox` is `auto`, `bubblewrap` or `unsafe-plain-process`. `store` is a folder for the measured copy of the image,
    kept between runs; without it the copy is temporary. Use as a context, or call `close`, to remove a temporary copy.
    The quoting service is its owner's to end.

    Raises EnclaveError for another kind, when the image can't be read, or bubblewrap is asked for and doesn't work.
    """

    def __init__(
        self,
        quoting: Quoting,
        *,
        tee_kind: TeeKind = TeeKind.SIMULATED_SGX,
        image: EnclaveImage | None = None,
        limits: EnclaveLimits | None = None,
        sandbox: str = "auto",
        store: Path | None = None,
        user_namespace: bool | None = None,
    ) -> None:
        self._quoting = quoting
        self._limits = limits or EnclaveLimits()
        self._mode = choose_sandbox_mode(sandbox)
        self._user_namespace = needs_user_namespace() if user_namespace is None else user_namespace
        self._remove_copy: Callable[[], object] = _do_nothing
        self._end_quoting: Callable[[], None] = _do_nothing
        self._copy = self._make_copy(image or build_enclave_image(), store)
        self._stated = _state(tee_kind, self._copy)
        _raise_own_limits()
        # A process started with "die with parent" dies with the thread that started it, so one thread outlives all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="enclave-starter")

    @classmethod
    def of_platform(
        cls,
        platform_folder: Path,
        *,
        tee_kind: TeeKind = TeeKind.SIMULATED_SGX,
        sandbox: str = "auto",
        store: Path | None = None,
    ) -> Self:
        """Start a quoting service for a platform's folder, and a launcher that ends it with itself.

        Raises InputError, IntegrityError for absent, unprotected or damaged keys, EnclaveError as the constructor.
        """
        quoting = QuotingService(platform_folder)
        try:
            launcher = cls(quoting, tee_kind=tee_kind, sandbox=sandbox, store=store)
        except BaseException:
            quoting.close()
            raise
        launcher._end_quoting = quoting.close
        return launcher

    @property
    def tee_kind(self) -> TeeKind:
        """Return the simulated kind."""
        return self._stated.tee_kind

    @property
    def measurement(self) -> bytes:
        """Return the measurement of the copy that runs: 32 bytes of simulated SGX, 48 of simulated TDX."""
        return self._stated.measurement

    @functools.cached_property
    def isolation(self) -> str:
        """Return what surrounds the enclaves, in words, as found around one that is started to look at it.

        Raises EnclaveError when none can be started.
        """
        with self.launch() as enclave:
            return enclave.isolation

    def launch(self, limits: EnclaveLimits | None = None) -> RunningEnclave:
        """Start one enclave process from the measured bytes. Raises EnclaveError when that can't be done."""
        try:
            started = self._start(limits or self._limits)
        except (OSError, RuntimeError) as exc:
            raise EnclaveError(f"the enclave process can't be started: {type(exc).__name__}") from exc
        try:
            with started.status:
                report = receive_start_report(started.status, _START_SECONDS)
            isolation = find_isolation(report, quoter_is_separate=self._quoting.is_separate)
        except BaseException:
            _end(started)
            raise
        launch = SimulatedLaunch(self._stated.tee_kind, self._stated.registers, isolation, self._stated.debug)
        # The quoter holds the launcher, so its thread and copy last as long as the enclave.
        return RunningEnclave(
            started.process,
            started.channel,
            measurement=launch.measurement,
            isolation=_describe(self._mode, isolation),
            quoter=lambda report_data: self._quoting.quote(launch, report_data),
        )

    def close(self) -> None:
        """Remove the temporary copy, the starting thread and its own quoting service; sandboxed enclaves are ended."""
        self._starter.shutdown(wait=True)
        self._end_quoting()
        self._remove_copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _make_copy(self, image: EnclaveImage, store: Path | None) -> ImageCopy:
        if store is not None:
            return keep_image_copy(image, store.resolve())  # the process starts in another folder
        folder = Path(tempfile.mkdtemp(prefix="heartify-simulated-enclave-"))
        # Also when the launcher is forgotten, and at the end of the program.
        self._remove_copy = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return copy_image(image, folder / "image")

    def _start(self, limits: EnclaveLimits) -> _Started:
        with contextlib.ExitStack() as passed, contextlib.ExitStack() as kept:
            channel, enclave_channel = _socket_pair(kept, passed)
            status, enclave_status = _socket_pair(kept, passed)
            name_senders(status)
            start = self._start_plain if self._mode is SandboxMode.UNSAFE_PLAIN_PROCESS else self._start_sandboxed
            process = start(enclave_channel.fileno(), enclave_status.fileno(), limits)
            kept.pop_all()
            return _Started(process, channel, status)

    def _start_plain(self, channel_fd: int, status_fd: int, limits: EnclaveLimits) -> subprocess.Popen[bytes]:
        # Executed where it lies: a process of the same user could change it after this check (ADR 0004).
        check_image_copy(self._copy)
        options = _bootstrap_options(self._copy.image, channel_fd, status_fd, None, None, limits)
        return self._spawn(
            build_plain_command(self._copy, options),
            [channel_fd, status_fd],
            build_environment(self._copy.image.environment, self._copy.folder / "system"),
        )

    def _start_sandboxed(self, channel_fd: int, status_fd: int, limits: EnclaveLimits) -> subprocess.Popen[bytes]:
        user_id = None if self._user_namespace else choose_enclave_user_id()
        with seal_image(self._copy) as files, _filters() as (launch_filter_fd, enclave_filter_fd):
            image = self._copy.image
            options = _bootstrap_options(image, channel_fd, status_fd, enclave_filter_fd, user_id, limits)
            arguments = build_sandbox_arguments(
                image, files, launch_filter_fd=launch_filter_fd, user_namespace=self._user_namespace
            )
            with _argument_file(arguments) as arguments_fd:
                passed = [channel_fd, status_fd, arguments_fd, *_descriptors(files)]
                passed += [descriptor for descriptor in (launch_filter_fd, enclave_filter_fd) if descriptor is not None]
                return self._spawn(build_sandboxed_command(image, arguments_fd, options), passed, {"PATH": os.defpath})

    def _spawn(
        self, command: list[str], descriptors: list[int], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=environment,
                cwd="/",
                start_new_session=True,
            )

        return self._starter.submit(start).result()


def _state(tee_kind: TeeKind, copy: ImageCopy) -> SimulatedLaunch:
    """Return what can be stated of every launch of a copy; what isolates it is found at each launch."""
    registers: tuple[bytes, ...] = (copy.measurement,)
    if tee_kind is TeeKind.SIMULATED_TDX:
        registers = simulated_td_registers(copy.image, copy.digests)
    return SimulatedLaunch(tee_kind, registers, Isolation.NONE, copy.image.debug)


def _describe(mode: SandboxMode, isolation: Isolation) -> str:
    return f"{mode.value}: {', '.join(isolation.words) or 'nothing'} in force"


def _bootstrap_options(
    image: EnclaveImage,
    channel_fd: int,
    status_fd: int,
    enclave_filter_fd: int | None,
    user_id: int | None,
    limits: EnclaveLimits,
) -> str:
    return json.dumps(
        {
            "entry": image.entry,
            "channel_fd": channel_fd,
            "status_fd": status_fd,
            "filter_fd": enclave_filter_fd,
            "user_id": user_id,
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
        }
    )


def _socket_pair(kept: contextlib.ExitStack, passed: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    kept.callback(ours.close)
    passed.callback(theirs.close)
    return ours, theirs


@contextlib.contextmanager
def _filters() -> Iterator[tuple[int | None, int | None]]:
    if not can_filter_system_calls():
        yield None, None
        return
    with contextlib.ExitStack() as stack:
        launch_filter_fd = open_launch_filter()
        stack.callback(os.close, launch_filter_fd)
        enclave_filter_fd = open_enclave_filter()
        stack.callback(os.close, enclave_filter_fd)
        yield launch_filter_fd, enclave_filter_fd


@contextlib.contextmanager
def _argument_file(arguments: list[str]) -> Iterator[int]:
    """Give bubblewrap's arguments as a file: there are more of them than a list of processes should show."""
    descriptor = os.memfd_create("arguments", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as out:
            out.write(b"".join(argument.encode() + b"\0" for argument in arguments))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _descriptors(files: tuple[SealedFile, ...]) -> list[int]:
    return [sealed.descriptor for sealed in files]


def _end(started: _Started) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()
    started.channel.close()


def _raise_own_limits() -> None:
    """Let this process and its enclaves open a descriptor for each file, and lock as much memory as the machine lets.

    What an enclave may use is limited by its own limits; locking only keeps its pages from being swapped out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    most = resource.RLIM_INFINITY if os.geteuid() == 0 else resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    # A container may keep even root from raising it: then memory isn't locked, and evidence doesn't say that it is.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))


def _do_nothing() -> None:
    """Stand for the removal of a copy that stays, and the end of a service that is another's."""
