"""A term: the named set of columns that stand or fall together, such as the basis of a spline or of a factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True)
class Term:
    """A name and the indices of its columns in X (n, p), counted from 0."""

    name: str
    columns: tuple[int, ...]


def check_terms(terms: Sequence[Term], p: int) -> None:
    """Check that terms have distinct names and disjoint, existing columns among p.

    Raises:
        InvalidBlockError: no terms, a name twice or empty, a term without columns, a column absent or in two terms.
    """
    if not terms:
        raise InvalidBlockError("expected at least one term, got none")
    names = [term.name for term in terms]
    if len(set(names)) != len(names) or not all(names):
        raise InvalidBlockError("a term's name is empty or occurs twice")
    columns = [column for term in terms for column in term.columns]
    if not all(term.columns for term in terms):
        raise InvalidBlockError("a term has no columns")
    if len(set(columns)) != len(columns) or not all(0 <= column < p for column in columns):
        raise InvalidBlockError("a term's column does not exist, or is in two terms")


def single_column_terms(term_names: Sequence[str]) -> tuple[Term, ...]:
    """Return one term for each column, in order."""
    return tuple(Term(name, (j,)) for j, name in enumerate(term_names))
