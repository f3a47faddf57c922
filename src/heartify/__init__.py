"""Heartify: rent out the use of patient data without giving the data away.

The public Python API is `Hospital`, `Lab` and `Pool`. They are loaded on first use, because this package is also
imported inside the enclave, where none of them exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heartify.hospital.hospital import GrantTerms, Hospital
    from heartify.lab.lab import Lab
    from heartify.pool.pool import Pool

__version__ = "0.1.0"
__all__ = ["GrantTerms", "Hospital", "Lab", "Pool", "__version__"]

_HOMES = {
    "GrantTerms": "heartify.hospital.hospital",
    "Hospital": "heartify.hospital.hospital",
    "Lab": "heartify.lab.lab",
    "Pool": "heartify.pool.pool",
}


def __getattr__(name: str) -> Any:
    """Load a name of the public API."""
    if name not in _HOMES:
        raise AttributeError(f"module 'heartify' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
