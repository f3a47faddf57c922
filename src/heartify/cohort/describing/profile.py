"""What one pass over a source remembers of each column: counts of forms, of distinct texts, and a sample of rows.

Memory is bounded whatever the source holds: distinct texts are counted up to a limit, rows are sampled up to a number
of cells. A profile holds patients' values: it is never logged or stored, and a draft takes from it only what
`levels.py` and `limits.py` let through.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from heartify.cohort.describing.name_words import words
from heartify.cohort.describing.text_forms import Form, form_of, is_missing_word
from heartify.cohort.sources.raw_table import RawTable
from heartify.errors import InputError
from heartify.protocol.dictionary import MAX_COLUMNS, normalise_code

MAX_DISTINCT = 2048
SENTINELS = words("0 -1 -9 -99 -999 -9999 9 99 999 9999 99999 8888 888 88 -88 99.9 999.9 9.99")
"""Numbers that files use for "not known"; counted however many distinct texts a column has."""
MAX_UNIQUE_ROWS = 50_000
MAX_SAMPLE_ROWS = 20_000
MAX_SAMPLE_CELLS = 1_000_000


@dataclass(slots=True)
class ColumnProfile:
    """Counts over one column. `codes` counts normalised texts until there are too many of them."""

    rows: int = 0
    null_rows: int = 0
    missing_words: collections.Counter[str] = field(default_factory=collections.Counter)
    forms: collections.Counter[Form] = field(default_factory=collections.Counter)
    codes: collections.Counter[str] | None = field(default_factory=collections.Counter)
    sentinels: collections.Counter[str] = field(default_factory=collections.Counter)
    places: int = 0
    commas: int = 0
    leading_zeros: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    longest: int = 0
    most_words: int = 0
    first_texts: set[str] | None = field(default_factory=set)
    first_rows: int = 0

    @property
    def known(self) -> int:
        """How many rows hold something."""
        return self.forms.total()

    @property
    def is_numeric(self) -> bool:
        """Tell whether everything known is a number."""
        return self.known > 0 and self.known == self.forms["whole"] + self.forms["decimal"]

    @property
    def is_whole(self) -> bool:
        """Tell whether everything known is a whole number."""
        return self.known > 0 and self.known == self.forms["whole"]

    @property
    def is_all_different(self) -> bool:
        """Tell whether no text came twice among the first rows."""
        return self.first_texts is not None and len(self.first_texts) == self.first_rows

    def extremes(self, missing: Collection[str]) -> tuple[float, float]:
        """Return the lowest and the highest number but for those that mean "not known"."""
        others = [float(code) for code in self.sentinels if code not in missing]
        return min([self.lowest, *others]), max([self.highest, *others])

    def add(self, texts: Sequence[str | None]) -> None:
        """Count one batch; each distinct text is looked at once."""
        for raw, count in collections.Counter(texts).items():
            text = None if raw is None else raw.strip()
            self.rows += count
            if text is None:
                self.null_rows += count
            elif is_missing_word(text):
                self.missing_words[text] += count
            else:
                self._add_known(text, count)

    def _add_known(self, text: str, count: int) -> None:
        found = form_of(text)
        self.forms[found.form] += count
        self.commas += count * found.has_comma
        self.leading_zeros += count * found.has_leading_zero
        self.places = max(self.places, found.places)
        self.longest = max(self.longest, len(text))
        self.most_words = max(self.most_words, len(text.split()))
        code = normalise_code(text)
        if code in SENTINELS:
            self.sentinels[code] += count
        elif not math.isnan(found.value):
            self.lowest, self.highest = min(self.lowest, found.value), max(self.highest, found.value)
        self._count_code(code, count)
        self._count_first(text, count)

    def _count_code(self, code: str, count: int) -> None:
        if self.codes is None:
            return
        self.codes[code] += count
        if len(self.codes) > MAX_DISTINCT:
            self.codes = None

    def _count_first(self, text: str, count: int) -> None:
        """Watch whether texts repeat themselves, until one does often or enough rows are seen."""
        if self.first_texts is None or self.first_rows >= MAX_UNIQUE_ROWS:
            return
        self.first_texts.add(text)
        self.first_rows += count
        if len(self.first_texts) < self.first_rows:
            self.first_texts = None


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """All columns of a source, and a uniform sample of its rows as numbers (NaN: missing or no number)."""

    name: str
    rows: int
    columns: Mapping[str, ColumnProfile]
    sample: Mapping[str, npt.NDArray[np.float64]]


def profile_source(raw: RawTable, *, random: np.random.Generator) -> SourceProfile:
    """Read a source once.

    Raises InputError when it has no rows or too many columns, or cannot be read.
    """
    if not 0 < len(raw.names) <= MAX_COLUMNS:
        raise InputError(f"{raw.name}: a source must have 1 to {MAX_COLUMNS} columns", hint="select fewer columns")
    columns = {name: ColumnProfile() for name in raw.names}
    sample = _Sample(raw.names, random)
    rows = 0
    for batch in raw.batches():
        for name, profile in columns.items():
            profile.add(batch[name])
        rows += len(batch[raw.names[0]])
        sample.add(batch)
    if rows == 0:
        raise InputError(f"{raw.name}: the source has no rows", hint="describe it when there are patients in it")
    return SourceProfile(raw.name, rows, columns, sample.numbers())


class _Sample:
    """The rows with the smallest random numbers so far, as numbers: 8 bytes a cell."""

    def __init__(self, names: Sequence[str], random: np.random.Generator) -> None:
        self._names, self._random = tuple(names), random
        self._max_rows = min(MAX_SAMPLE_ROWS, max(1, MAX_SAMPLE_CELLS // len(names)))
        self._draws: npt.NDArray[np.float64] = np.empty(0)
        self._values: npt.NDArray[np.float64] = np.empty((0, len(names)))

    def add(self, batch: Mapping[str, Sequence[str | None]]) -> None:
        draws = self._random.random(len(batch[self._names[0]]))
        limit = self._draws[-1] if len(self._draws) == self._max_rows else math.inf
        kept = np.flatnonzero(draws < limit)
        kept = kept[np.argsort(draws[kept], kind="stable")][: self._max_rows]
        values = np.column_stack([_numbers([batch[name][row] for row in kept.tolist()]) for name in self._names])
        draws = np.concatenate([self._draws, draws[kept]])
        order = np.argsort(draws, kind="stable")[: self._max_rows]
        self._draws = draws[order]
        self._values = np.concatenate([self._values, values])[order]

    def numbers(self) -> dict[str, npt.NDArray[np.float64]]:
        return {name: self._values[:, position] for position, name in enumerate(self._names)}


def _numbers(texts: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """Return the numbers among texts, each distinct text read once."""
    values = {text: _number(text) for text in set(texts)}
    return np.array([values[text] for text in texts], dtype=np.float64)


def _number(text: str | None) -> float:
    text = (text or "").strip()
    return math.nan if is_missing_word(text) else form_of(text).value
