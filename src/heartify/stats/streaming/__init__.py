"""Fits over rows that are too many to hold: re-readable chunks of several hospitals, an ordered map over a few threads.

The same estimates and refusals as the fits of blocks in memory, in memory that does not grow with the rows.
"""

from heartify.stats.streaming.fit import Precision, StreamedLogisticFit, fit_streamed_logistic
from heartify.stats.streaming.ordered_map import OrderedMap, ordered_map
from heartify.stats.streaming.rows import ArrayRows, Chunk, ChunkedRows, RealArray

__all__ = [
    "ArrayRows",
    "Chunk",
    "ChunkedRows",
    "OrderedMap",
    "Precision",
    "RealArray",
    "StreamedLogisticFit",
    "fit_streamed_logistic",
    "ordered_map",
]
