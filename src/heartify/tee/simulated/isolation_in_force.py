"""Which measures surround an enclave process that has started: seen from outside, and said by its measured bootstrap.

Evidence states what this module finds, never what was asked for. What the kernel shows of another process is looked at
in /proc; Landlock and locked memory, which it doesn't show, are the words of the bootstrap, whose bytes are measured.
It must never state a measure that it could not find.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from heartify.attestation.isolation import Isolation
from heartify.errors import EnclaveError
from heartify.tee.simulated.peer import Peer, receive_named
from heartify.tee.simulated.user_ids import is_enclave_user_id, processes_of

_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
_REPORT_LIMIT_BYTES = 4096
_SECCOMP_FILTERS = "2"


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    landlock: bool
    memory_locked: bool
    filter: bool


@dataclass(frozen=True, slots=True)
class StartReport:
    """What the bootstrap said before it ran enclave code, and which process said it, in the kernel's word."""

    peer: Peer
    file_rules: bool
    memory_locked: bool
    system_call_filter: bool


def receive_start_report(channel: socket.socket, timeout_seconds: float) -> StartReport:
    """Receive the bootstrap's one line. Raises EnclaveError when it ended without one, or said something else."""
    deadline = time.monotonic() + timeout_seconds
    line = b""
    peers = set()
    try:
        while not line.endswith(b"\n") and len(line) < _REPORT_LIMIT_BYTES:
            part, peer = receive_named(channel, _REPORT_LIMIT_BYTES, deadline)
            if not part:
                raise EnclaveError("the enclave process ended at its start")
            line += part
            peers.add(peer)
        said = msgspec.json.decode(line, type=_Said)
    except TimeoutError as exc:
        raise EnclaveError(f"the enclave process did not start within {timeout_seconds:g} seconds") from exc
    except (OSError, msgspec.MsgspecError) as exc:
        raise EnclaveError("the enclave process did not say what protects it") from exc
    speaker = peers.pop()
    if speaker is None or peers:
        raise EnclaveError("the enclave process can't be told from another one")
    return StartReport(speaker, said.landlock, said.memory_locked, said.filter)


def find_isolation(report: StartReport, *, quoter_is_separate: bool) -> Isolation:
    """Return the measures in force around the process that made the report. Raises EnclaveError when it has ended."""
    folder = Path("/proc") / str(report.peer.process_id)
    status = _read_status(folder)
    found = Isolation.NONE
    if _has_own_namespaces(folder) and status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0:
        found |= Isolation.SANDBOX
    if report.system_call_filter and status["Seccomp"] == _SECCOMP_FILTERS:
        found |= Isolation.SYSTEM_CALL_FILTER
    if report.file_rules:
        found |= Isolation.FILE_RULES
    if _has_own_user(status, report.peer.process_id):
        found |= Isolation.OWN_USER
    if quoter_is_separate:
        found |= Isolation.SEPARATE_QUOTER
    if report.memory_locked:
        found |= Isolation.LOCKED_MEMORY
    return found


def _read_status(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError as exc:
        raise EnclaveError("the enclave process ended at its start") from exc
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _has_own_namespaces(folder: Path) -> bool:
    try:
        return all(
            (folder / "ns" / name).readlink() != (Path("/proc/self/ns") / name).readlink() for name in _NAMESPACES
        )
    except OSError:
        return False  # what can't be seen isn't stated


def _has_own_user(status: dict[str, str], process_id: int) -> bool:
    user_ids = {int(number) for number in status["Uid"].split()}
    if len(user_ids) != 1:
        return False
    (user_id,) = user_ids
    return user_id != os.geteuid() and is_enclave_user_id(user_id) and processes_of(user_id) == {process_id}
