"""Keeps scipy from looking for the parts of numpy that an enclave's image doesn't have.

scipy's array layer copies every public name of numpy, and with `numpy.f2py` and `numpy.testing` come a Fortran parser,
a test framework, e-mail, archives and processes. They aren't in the image; here they vanish from numpy's own lists.
Where numpy is whole, as outside an enclave, nothing changes. It trusts numpy to list what it loads lazily.
"""

from __future__ import annotations

import importlib.util

import numpy as np

UNUSED_PARTS = frozenset({"core", "ctypeslib", "f2py", "matlib", "polynomial", "testing"})


def hide_unused_numpy() -> None:
    """Take the parts that aren't installed out of numpy's public names; call it before the first import of scipy."""
    absent = {name for name in UNUSED_PARTS if importlib.util.find_spec(f"numpy.{name}") is None}
    np.__all__ = [name for name in np.__all__ if name not in absent]
    np.__numpy_submodules__.difference_update(absent)  # what numpy.__dir__ adds to its names
