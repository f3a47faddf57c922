"""What is left of column keys in the memory of a real enclave process, looked at from outside by its owner.

docs/security/memory.md says the same in words; these are its numbers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from heartify.cohort.encrypted.column_crypto import column_keys


def read_memory(pid):
    """Every readable page of a process."""
    parts = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            parts.append(memory.read(end - start) or b"")
    return b"".join(parts)


@pytest.fixture(scope="module")
def scans(worlds, run_image):
    """Keys of the plan's columns found during the run and after it: as bytes, and as hexadecimal text."""
    world = worlds["robust"]
    secrets = [
        key
        for hospital in world.hospitals
        for name, key in column_keys(hospital.version.master_key, hospital.version.manifest).items()
        if name in world.plan.columns()
    ]
    found = {}

    def scan(moment, pid):
        try:
            memory = read_memory(pid)
        except PermissionError:
            pytest.skip("only root may look into a process that can't be traced")
        found[moment] = (
            [memory.count(key) for key in secrets],
            [memory.count(key.hex().encode()) for key in secrets],
        )

    def at_first_file(host, _header, honest):
        if "during" not in found:
            scan("during", host.memory["pid"])
        return honest()

    run_image(world, {"file": at_first_file}, at_end=lambda pid: scan("after", pid))
    return found


def test_scan_finds_keys_while_they_are_in_use(scans):
    """So that finding none afterwards means something."""
    raw, _ = scans["during"]

    assert all(count >= 1 for count in raw)


def test_key_in_use_has_one_copy_our_own(scans):
    raw, text = scans["during"]

    assert raw == [1] * len(raw)
    assert text == [0] * len(text)


def test_no_copy_of_any_column_key_is_left_after_the_run(scans):
    raw, text = scans["after"]

    assert (sum(raw), sum(text)) == (0, 0)
