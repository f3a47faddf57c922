"""A process's own peak memory; a child's ru_maxrss would count its parent's too."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """Return this process's highest resident memory so far, in MiB (VmHWM of Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
