"""What a table of a result may consist of: named columns of a kind each, and the counts that open a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heartify.disclosure.cells import Cell, Kind

MAX_ROWS = 400


@dataclass(frozen=True, slots=True)
class Column:
    """One column; an ESTIMATE or BOUND names the column of its row's SE, which must stand before it.

    A P may name the shown figure that it is the p-value `of`: an ESTIMATE (by its SE), or a CHI2 with its `df` (a
    column, or 1 without). It is then computed from the shown figure, and whatever the maker gives for it is not read.
    """

    name: str
    kind: Kind
    se: str | None = None
    of: str | None = None
    df: str | None = None


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table of the closed list.

    `needs` names counts: in a row where one of them is suppressed, every figure is (labels and NUMBERs stay).
    """

    name: str
    columns: tuple[Column, ...]
    needs: tuple[str, ...] = ()
    max_rows: int = MAX_ROWS

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the columns."""
        return frozenset(column.name for column in self.columns)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        kinds = {column.name: column.kind for column in self.columns}
        for column in self.columns:
            graded = column.kind in {Kind.ESTIMATE, Kind.BOUND}
            if graded != (column.se is not None) or (graded and column.se not in seen) or column.name in seen:
                raise ValueError(f"table {self.name}: column {column.name} is repeated or has no SE before it")
            if not {column.of, column.df} <= {None, *seen} or (column.of is not None and column.kind is not Kind.P):
                raise ValueError(f"table {self.name}: column {column.name} is of a figure that doesn't stand before it")
            seen.add(column.name)
        if any(kinds.get(name) is not Kind.COUNT for name in self.needs):
            raise ValueError(f"table {self.name}: a row needs something that is no count")


@dataclass(frozen=True, slots=True, repr=False)
class ExactTable:
    """A table as computed; it never leaves the enclave. Rows map every column's name to its exact value."""

    name: str
    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True, slots=True)
class ReleasedTable:
    """A table as shown: the columns' names, and rows of rounded cells in their order."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def label(name: str) -> Column:
    """Return a column of labels."""
    return Column(name, Kind.LABEL)


def number(name: str) -> Column:
    """Return a column of whole numbers that tell nothing of a patient."""
    return Column(name, Kind.NUMBER)


def count(name: str) -> Column:
    """Return a column of patients."""
    return Column(name, Kind.COUNT)


def p_value(name: str = "p", *, of: str | None = None, df: str | None = None) -> Column:
    """Return a column of p-values, given as natural logarithms, or computed of the shown figure `of`."""
    return Column(name, Kind.P, of=of, df=df)


def chi_square(name: str = "chi2") -> Column:
    """Return a column of chi-squares."""
    return Column(name, Kind.CHI2)


def statistic(name: str) -> Column:
    """Return a column of test statistics or variance components."""
    return Column(name, Kind.STATISTIC)


def magnitude(name: str) -> Column:
    """Return a column of means, SDs or points in clinical units."""
    return Column(name, Kind.MAGNITUDE)


def index(name: str) -> Column:
    """Return a column of AUCs, probabilities or shares."""
    return Column(name, Kind.INDEX)


def fine_index(name: str) -> Column:
    """Return a column of Brier scores, R2 or net benefits."""
    return Column(name, Kind.FINE_INDEX)


def estimate(name: str = "estimate", *, prefix: str = "") -> tuple[Column, ...]:
    """Return the four columns of an estimate with its 95 % interval: se, estimate, ci_low, ci_high."""
    se = f"{prefix}se"
    return (
        Column(se, Kind.SE),
        Column(name, Kind.ESTIMATE, se),
        Column(f"{prefix}ci_low", Kind.BOUND, se),
        Column(f"{prefix}ci_high", Kind.BOUND, se),
    )
