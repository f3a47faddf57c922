"""Limits in a real process: what a host did not give is not charged to the lab, and a large reply is not received."""

from __future__ import annotations

import os
import resource
import signal
import struct
from pathlib import Path

from heartify.protocol.outcomes import FailureCode, Outcome

MIB = 1024**2


def failed_with(run):
    settlement = run.done["settlement"]
    assert settlement["outcome"] == str(int(Outcome.FAILED))
    return FailureCode(int(settlement["code"]))


def greedy_reply():
    """A valid reply within all limits that takes some 100 MiB when it is parsed."""
    header = b'{"op":"challenge","ok":true,"a":[' + b"{}," * 1_390_000 + b"{}]}"
    return struct.pack(">II", len(header), 0) + header


def take_memory_away(pid):
    """Limit the process to what it has mapped at this moment, as a host can at any time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mapped = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
    resource.prlimit(pid, resource.RLIMIT_AS, (mapped, mapped))


def test_process_without_the_promised_memory_signs_that_its_host_is_at_fault(worlds, run_image):
    def starve(host, _header, _honest):
        take_memory_away(host.memory["pid"])
        return greedy_reply()

    enough = run_image(worlds["robust"], {"challenge": lambda *_: greedy_reply()})
    scarce = run_image(worlds["robust"], {"challenge": starve})

    # The reply holds no challenge; that is all that is wrong with it.
    assert failed_with(enough) is FailureCode.KEYS_UNAVAILABLE
    assert failed_with(scarce) is FailureCode.HOST_PROTOCOL
    assert (scarce.exit_status, scarce.output) == (0, b"")


def test_body_far_longer_than_the_file_is_not_received(worlds, run_image):
    def endless(_host, _header, _honest):
        return struct.pack(">II", 2, 512 * MIB) + b"{}"

    run = run_image(worlds["robust"], {"file": endless})

    assert failed_with(run) is FailureCode.HOST_PROTOCOL


def test_host_that_sends_the_signal_of_a_used_up_limit_is_not_paid(worlds, run_image):
    def signal_first(host, _header, honest):
        os.kill(host.memory["pid"], signal.SIGXCPU)
        return honest()

    run = run_image(worlds["robust"], {"file": signal_first})

    assert failed_with(run) is FailureCode.HOST_PROTOCOL
    assert (run.exit_status, run.output) == (0, b"")
