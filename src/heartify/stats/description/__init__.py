"""Describing columns: summaries of numbers, counts of levels, and doubts about units."""

from heartify.stats.description.counts import count_levels
from heartify.stats.description.numbers import (
    MIN_BEYOND,
    NumberSummary,
    is_concentrated,
    summarise,
    summarise_counts,
)
from heartify.stats.description.units import count_outside, suspected_unit

__all__ = [
    "MIN_BEYOND",
    "NumberSummary",
    "count_levels",
    "count_outside",
    "is_concentrated",
    "summarise",
    "summarise_counts",
    "suspected_unit",
]
