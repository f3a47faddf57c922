"""Keeps scipy from loading the parts of numpy that no run needs.

scipy's array layer copies every public name of numpy, and with `numpy.f2py` and `numpy.testing` come a Fortran parser,
a test framework, e-mail, archives and processes. They aren't in the image; here they vanish from numpy's own lists.
Call it before the first import of scipy, in the enclave's process only. It trusts numpy to list what it loads lazily.
"""

from __future__ import annotations

import numpy as np

UNUSED_PARTS = frozenset({"core", "ctypeslib", "f2py", "matlib", "polynomial", "testing"})


def hide_unused_numpy() -> None:
    """Take the unused parts out of numpy's public names; what is loaded already stays loaded."""
    np.__all__ = [name for name in np.__all__ if name not in UNUSED_PARTS]
    np.__numpy_submodules__.difference_update(UNUSED_PARTS)  # what numpy.__dir__ adds to its names
