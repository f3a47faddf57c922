"""The grammar and the atoms of UCUM 2.2, from ucumvert, and factors by dimension, from pint.

Both take half a second and more to load, so each is loaded at the first unit that needs it, and kept: factors only
where there is something to convert. The registry is ours alone: the application's is left as it is. Nothing here
decides whether a factor makes sense; see ucum.py.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pint import UnitRegistry

Line = tuple[float, float]
"""(scale, shift): a value in the other unit is scale * value + shift."""


class UcumGrammar:
    """Parses units and finds the straight line between two."""

    def __init__(self) -> None:
        from ucumvert.parser import get_ucum_parser  # type: ignore[import-untyped]
        from ucumvert.xml_util import get_units_with_full_definition  # type: ignore[import-untyped]

        self._parser = get_ucum_parser()
        units = get_units_with_full_definition()
        self.arbitrary = frozenset(str(unit.code_cs) for unit in units if unit.is_arbitrary)
        """Atoms such as [IU]: multiples of themselves and of nothing else (UCUM 3.1)."""
        self.special = frozenset(str(unit.code_cs) for unit in units if unit.is_special)
        """Atoms such as [pH] and Cel: on a scale of their own (UCUM 3.2)."""

    @functools.cached_property
    def _registry(self) -> UnitRegistry[Any]:
        import ucumvert  # type: ignore[import-untyped]
        from pint import UnitRegistry

        registry: UnitRegistry[Any] = UnitRegistry()
        registry.load_definitions(ucumvert.__path__[0] + "/pint_ucum_defs.txt")
        return registry

    @functools.cached_property
    def _transformer(self) -> Any:
        from ucumvert.ucum_pint import UcumToPintTransformer  # type: ignore[import-untyped]

        return UcumToPintTransformer(ureg=self._registry)

    @functools.lru_cache(maxsize=512)  # noqa: B019 - there is one grammar, for ever
    def atoms(self, text: str) -> frozenset[str] | None:
        """Return the atoms of a unit without their prefixes, or None when it is not UCUM."""
        tree = self._parse(text)
        if tree is None:
            return None
        kinds = {"UNIT_METRIC", "UNIT_NON_METRIC"}
        return frozenset(str(token) for token in tree.scan_values(lambda value: getattr(value, "type", None) in kinds))

    @functools.lru_cache(maxsize=512)  # noqa: B019
    def line(self, source: str, target: str) -> Line | None:
        """Return the straight line from one unit to another of its dimension, or None when there is none."""
        from pint import DimensionalityError, OffsetUnitCalculusError

        start, goal = self._quantity(source), self._quantity(target)
        if start is None or goal is None:
            return None
        try:
            shift = self._value(0.0, start, goal)
            scale = self._value(1.0, start, goal) - shift
        except (DimensionalityError, OffsetUnitCalculusError):
            return None
        # Pint's floats carry noise (0.010000000000000002); a difference of large numbers more of it than a factor.
        digits = 15 if shift == 0 else 12
        return float(f"{scale:.{digits}g}"), float(f"{shift:.{digits}g}")

    def _value(self, value: float, start: Any, goal: Any) -> float:
        """Return what `value` times the quantity `start` is in multiples of the quantity `goal`."""
        there = self._registry.Quantity(value * float(start.magnitude), start.units).to(goal.units)
        return float(there.magnitude) / float(goal.magnitude)

    def _quantity(self, text: str) -> Any:
        """Return a unit as pint has it, or None for one that pint does not define ([pH])."""
        from lark.exceptions import VisitError
        from pint import PintError

        tree = self._parse(text)
        if tree is None:
            return None
        try:
            return self._registry.Quantity(self._transformer.transform(tree))
        except (VisitError, PintError):
            return None

    def _parse(self, text: str) -> Any:
        from lark.exceptions import LarkError

        try:
            return self._parser.parse(text)
        except LarkError:
            return None


@functools.cache
def ucum_grammar() -> UcumGrammar:
    """Return the one grammar of this process, loaded when it is first needed."""
    return UcumGrammar()
