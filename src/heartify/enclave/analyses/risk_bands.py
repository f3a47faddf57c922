"""Cuts of predicted risk behind which nobody stands alone: bands of at least ten patients each.

Two cuts that enclose fewer patients would give them away by subtraction, however far each is from the ends. So cuts
are merged until the bands between them are large enough, in a fixed order. Trusts its callers for finite risks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cohort_rules import MIN_CELL

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.intp]

FINE_FROM = 1000


def merge_bands(code: Codes, *groups: Flags) -> Codes:
    """Return bands (n,) of adjacent codes (n,) with ten patients of each group (n,) in them, numbered from 0.

    Bands are filled from the lowest code on; what is left over at the top joins the last band. If there aren't ten of a
    group at all, everyone is in band 0.
    """
    levels, place = np.unique(code, return_inverse=True)
    counts = np.stack([np.bincount(place, weights=group, minlength=levels.size) for group in groups])
    band_of_level = np.zeros(levels.size, dtype=np.intp)
    band, filled = 0, np.zeros(len(groups))
    rest = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] - counts  # behind each level
    for index in range(levels.size):
        band_of_level[index] = band
        filled = filled + counts[:, index]
        if (filled >= MIN_CELL).all() and (rest[:, index] >= MIN_CELL).all():
            band, filled = band + 1, np.zeros(len(groups))
    return band_of_level[place]


def quantile_bands(p: Floats, groups: int, *members: Flags) -> Codes:
    """Return bands (n,) of the risks p (n,): at most `groups` quantile groups, merged as `merge_bands` does.

    Equal risks stay together (quantiles are the inverse of the distribution function, R's type 1).
    """
    cuts = np.unique(np.quantile(p, np.arange(1, groups) / groups, method="inverted_cdf"))
    return merge_bands(np.searchsorted(cuts, p, side="left"), *members)


def open_cuts(p: Floats, cuts: Sequence[float], *groups: Flags) -> tuple[float, ...]:
    """Return the increasing cuts that may be shown: "risk >= cut" has ten of each group between any two, and beyond."""
    code = np.searchsorted(np.asarray(cuts), p, side="right")
    band = merge_bands(code, *groups)
    return tuple(cut for index, cut in enumerate(cuts) if _is_open(band, code > index))


def _is_open(band: Codes, above: Flags) -> bool:
    """Return whether a cut lies between two bands, rather than inside one or beyond everyone."""
    return bool(above.any() and not above.all() and band[~above].max() < band[above].min())


def few_moved(base: Floats, new: Floats, cut: float) -> bool:
    """Return whether 1 to 9 patients cross the cut upwards, or downwards, from base (n,) to new (n,) risks."""
    up, down = int(((base < cut) & (new >= cut)).sum()), int(((base >= cut) & (new < cut)).sum())
    return 0 < up < MIN_CELL or 0 < down < MIN_CELL


def as_fine_as(value: float, n: int) -> float:
    """Return a share of n patients, with two decimals below 1,000 patients: there a third would count single ones."""
    return value if n >= FINE_FROM else round(value, 2)
