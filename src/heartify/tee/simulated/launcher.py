"""The launcher of the simulated TEE: it starts a measured enclave process on this host and quotes for it.

It is launcher and quoting enclave in one: it states the measurement of the copy that it started; the enclave chooses
nothing but report data.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import EnclaveError
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.image import EnclaveImage
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.image_copy import ImageCopy, check_image_copy, copy_image, keep_image_copy
from heartify.tee.limits import EnclaveLimits
from heartify.tee.running_enclave import RunningEnclave
from heartify.tee.simulated.sandbox import (
    SandboxMode,
    build_bubblewrap_command,
    build_environment,
    build_plain_command,
    choose_enclave_user_id,
    choose_sandbox_mode,
    needs_user_namespace,
)
from heartify.tee.simulated.system_call_filter import open_enclave_filter, open_launch_filter


class SimulatedSgxLauncher:
    """Starts enclaves in the simulated TEE. `isolation` is `auto`, `bubblewrap` or `unsafe-plain-process`.

    `store` is a folder for the measured copy of the image, kept between runs; without it the copy is temporary.
    Use as a context, or call `close`, to remove a temporary copy.
    """

    def __init__(
        self,
        platform: SimulatedPlatform,
        *,
        image: EnclaveImage | None = None,
        limits: EnclaveLimits | None = None,
        isolation: str = "auto",
        store: Path | None = None,
        clock: Callable[[], float] = time.time,
        user_namespace: bool | None = None,
    ) -> None:
        self._platform = platform
        self._limits = limits or EnclaveLimits()
        self._clock = clock
        self._mode = choose_sandbox_mode(isolation)
        self._user_namespace = needs_user_namespace() if user_namespace is None else user_namespace
        self._remove_copy: Callable[[], object] = _do_nothing
        self._copy = self._make_copy(image or build_enclave_image(), store)
        # A process started with "die with parent" dies with the thread that started it, so one thread outlives all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="enclave-starter")

    @property
    def tee_kind(self) -> TeeKind:
        """Return the simulated kind."""
        return TeeKind.SIMULATED_SGX

    @property
    def measurement(self) -> bytes:
        """Return the measurement of the copy that runs, 32 bytes."""
        return self._copy.measurement

    @property
    def isolation(self) -> str:
        """Return what will surround the enclaves."""
        return self._mode.value

    def launch(self, limits: EnclaveLimits | None = None) -> RunningEnclave:
        """Start one enclave process from the measured copy. Raises EnclaveError when that can't be done."""
        check_image_copy(self._copy)
        host_end, enclave_end = socket.socketpair()
        try:
            with enclave_end:
                process = self._starter.submit(self._start, enclave_end.fileno(), limits or self._limits).result()
        except (OSError, RuntimeError) as exc:
            host_end.close()
            raise EnclaveError(f"the enclave process can't be started: {type(exc).__name__}") from exc
        # The quoter holds the launcher, so its thread and copy last as long as the enclave.
        return RunningEnclave(
            process,
            host_end,
            measurement=self._copy.measurement,
            isolation=self._mode.value,
            quoter=self._quote,
        )

    def close(self) -> None:
        """Remove the temporary copy and the starting thread; enclaves still running in a sandbox are ended."""
        self._starter.shutdown(wait=True)
        self._remove_copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _make_copy(self, image: EnclaveImage, store: Path | None) -> ImageCopy:
        if store is not None:
            return keep_image_copy(image, store.resolve())  # the sandbox starts in another folder
        folder = Path(tempfile.mkdtemp(prefix="heartify-simulated-enclave-"))
        # Also when the launcher is forgotten, and at the end of the program.
        self._remove_copy = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return copy_image(image, folder / "image")

    def _quote(self, report_data: bytes) -> Evidence:
        return self._platform.evidence(self._copy.measurement, report_data, int(self._clock()))

    def _start(self, channel_fd: int, limits: EnclaveLimits) -> subprocess.Popen[bytes]:
        with self._filters() as (launch_filter_fd, enclave_filter_fd):
            options = self._bootstrap_options(channel_fd, enclave_filter_fd, limits)
            sandboxed = self._mode is not SandboxMode.UNSAFE_PLAIN_PROCESS
            command = build_plain_command(self._copy, options)
            if sandboxed:
                command = build_bubblewrap_command(
                    self._copy, options, launch_filter_fd=launch_filter_fd, user_namespace=self._user_namespace
                )
            descriptors = (channel_fd, launch_filter_fd, enclave_filter_fd)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[descriptor for descriptor in descriptors if descriptor is not None],
                env={"PATH": os.defpath} if sandboxed else self._plain_environment(),
                cwd="/",
                start_new_session=True,
            )

    def _plain_environment(self) -> dict[str, str]:
        return build_environment(self._copy.image.environment, self._copy.folder / "system")

    def _bootstrap_options(self, channel_fd: int, enclave_filter_fd: int | None, limits: EnclaveLimits) -> str:
        own_user = self._mode is not SandboxMode.UNSAFE_PLAIN_PROCESS and not self._user_namespace
        return json.dumps(
            {
                "entry": self._copy.image.entry,
                "channel_fd": channel_fd,
                "filter_fd": enclave_filter_fd,
                "user_id": choose_enclave_user_id() if own_user else None,
                "memory_bytes": limits.memory_bytes,
                "cpu_seconds": limits.cpu_seconds,
            }
        )

    @contextlib.contextmanager
    def _filters(self) -> Iterator[tuple[int | None, int | None]]:
        if self._mode is not SandboxMode.BUBBLEWRAP_SECCOMP:
            yield None, None
            return
        with contextlib.ExitStack() as stack:
            launch_filter_fd = open_launch_filter()
            stack.callback(os.close, launch_filter_fd)
            enclave_filter_fd = open_enclave_filter()
            stack.callback(os.close, enclave_filter_fd)
            yield launch_filter_fd, enclave_filter_fd


def _do_nothing() -> None:
    """Stand for the removal of a copy that stays."""
