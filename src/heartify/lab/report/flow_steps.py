"""The steps of the flow of patients, as the closed list words them, and as people read them."""

from __future__ import annotations

from collections.abc import Mapping

READ, COMPLETE = "patients read", "complete cases"


def step_words(step: str, titles: Mapping[str, str]) -> str:
    """Return a step with the title of the factor that it names: `sbp missing` is of the factor `sbp`."""
    name = step.removesuffix(" missing")
    return step if name == step or name not in titles else f"{titles[name]} missing"
