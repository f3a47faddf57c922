"""Titles of factors for people: the column's title, and for an indicator the level's label."""

from __future__ import annotations

from heartify.protocol.dictionary import DataDictionary, normalise_code
from heartify.protocol.plan import Plan


def factor_titles(plan: Plan, dictionary: DataDictionary) -> dict[str, str]:
    """Return factor name → title for the factors whose columns the dictionary has."""
    columns = {column.name: column for column in dictionary.columns}
    titles = {}
    for factor in plan.factors:
        column = columns.get(factor.column)
        if column is None:
            continue
        labels = {normalise_code(level.code): level.label for level in column.levels}
        level = None if factor.equals is None else labels.get(normalise_code(factor.equals), factor.equals)
        titles[factor.name] = column.title if level is None else f"{column.title}: {level}"
    return titles
