"""Dictionary columns bound to the columns of a source: what they are called there, and in which unit they stand there.

Both come from the steward's file. A value is converted only when the steward says that the source has another unit;
nothing is guessed from the values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.sources.faults import Faults
from heartify.cohort.units.conversion import Conversion, find_conversion
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column, its name in the source, and how its values are converted (None: they stand in its unit already)."""

    column: Column
    source_name: str
    conversion: Conversion | None

    @property
    def label(self) -> str:
        """What faults call it: the dictionary's name, and the source's when that is another."""
        name = self.column.name
        return f"column {name}" if name == self.source_name else f"column {name} ('{self.source_name[:64]}' there)"


def bind_columns(dictionary: DataDictionary, sources: Mapping[str, ColumnSource]) -> tuple[BoundColumn, ...]:
    """Bind every column of the dictionary, in its order.

    Raises InputError when the steward's `source` names no column, or a unit that can't be converted.
    """
    for name in sources:
        dictionary.column(name)  # refuses a name that it doesn't have
    return tuple(_bind(column, sources.get(column.name)) for column in dictionary.columns)


def find_positions(
    names: Sequence[str], columns: Sequence[BoundColumn], ignore: Collection[str], faults: Faults, where: str
) -> list[int]:
    """Return the position in the source of each bound column.

    Raises InputError for columns of the source that are missing, not declared, or there twice.
    """
    known = {bound.source_name for bound in columns} | set(ignore)
    # Half of it known: surely names. Otherwise it may be a patient's row, whose cells must not be shown.
    shown = 2 * sum(name in known for name in names) >= len(names)
    first_positions: dict[str, int] = {}
    for position, name in enumerate(names):
        label = f"'{name[:64]}'" if shown else f"number {position + 1}"
        if name not in known:
            faults.add(where, f"column {label} is not in the dictionary: add it there, or list it in ignore")
        elif first_positions.setdefault(name, position) != position:
            faults.add(where, f"column {label} stands twice in the header")
    for bound in columns:
        if bound.source_name not in first_positions:
            faults.add(f"{where}, {bound.label}", "this column of the dictionary is missing in the file")
    faults.check()
    return [first_positions[bound.source_name] for bound in columns]


def _bind(column: Column, source: ColumnSource | None) -> BoundColumn:
    name = column.name if source is None or source.name is None else source.name
    unit = None if source is None else source.unit
    if unit is None or unit == column.unit:
        return BoundColumn(column, name, None)
    if column.datatype not in {"number", "integer"} or column.role == "id":
        raise InputError(
            f"dictionary column '{column.name}': its source has a unit, but a {column.datatype} has none",
            hint="remove the unit from source",
        )
    conversion = find_conversion(unit, column.unit, loinc=column.loinc)
    return BoundColumn(column, name, None if conversion.is_identity else conversion)
