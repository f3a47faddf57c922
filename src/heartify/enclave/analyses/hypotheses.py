"""The hypotheses that a model's terms stand for, each a set of columns that are zero under it.

As anova() of R's rms: a term is tested together with its interactions, since a main effect alone is that at zero of the
other factor; the non-linear part of a spline likewise. Knows the model's columns and no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Literal

from heartify.enclave.model import Model
from heartify.stats.design import Interaction, Spline

Words = Literal["no association", "non-linearity", "no interaction", "model"]
WHOLE_MODEL = "all terms"


@dataclasses.dataclass(frozen=True, slots=True)
class Hypothesis:
    """The `columns` (indices of p) that are zero where `words` is not so of `term`."""

    term: str
    words: Words
    columns: tuple[int, ...]


def hypotheses(model: Model) -> tuple[Hypothesis, ...]:
    """Return the hypotheses of each term, in the model's order, and then that of all of them."""
    found: list[Hypothesis] = []
    for name, term in zip(model.terms, model.design.terms, strict=True):
        if isinstance(term, Interaction):
            found.append(Hypothesis(name, "no interaction", model.columns_of(name)))
            continue
        found.append(Hypothesis(name, "no association", _made_of(model, term.names)))
        if isinstance(term, Spline):
            found.append(Hypothesis(name, "non-linearity", _made_of(model, term.names[1:])))
    return (*found, Hypothesis(WHOLE_MODEL, "model", tuple(range(len(model.names)))))


def _made_of(model: Model, names: Collection[str]) -> tuple[int, ...]:
    """Return the columns with those names, and the products in which one of them is a factor."""
    return tuple(j for j, name in enumerate(model.design.names) if not set(names).isdisjoint(name.split(":")))
