"""Read OMOP CDM 5.4 tables, from files or a database, into the event store.

Only rows with a needed concept are kept, by the standard concept or by the source's own. A measurement's unit is its
concept's; when there is none, what the source wrote, which converts only if it is UCUM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.events import omop_layout as layout
from heartify.cohort.events.event_store import DEATH, EVENT, PERIOD, PERSON, EventStore
from heartify.cohort.events.needs import Need, Needs
from heartify.cohort.events.omop_concepts import EQUAL, OPERATORS, SEXES, Vocabulary, build_vocabulary
from heartify.cohort.events.omop_layout import OmopTable
from heartify.errors import InputError

UNKNOWN_UNIT = "not a known concept"
"""No UCUM, so it never converts."""

UNKNOWN_OPERATOR = "?"
MAX_UNIT = 64
MIDDLE_OF_YEAR, MIDDLE_OF_MONTH = "-07-01", "15"

Report = Callable[[], None]


class OmopTables(Protocol):
    """Where the tables come from."""

    def has(self, table: OmopTable) -> bool:
        """Tell whether the table is there."""
        ...

    def batches(self, table: OmopTable, concepts: tuple[int, ...] = ()) -> Iterator[pa.Table]:
        """Yield rows, typed."""
        ...


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A batch on its way into the store. `number`: its table's, which keeps ids of different tables apart."""

    rows: pa.Table
    table: OmopTable
    number: int
    needs: tuple[Need, ...]
    vocabulary: Vocabulary


def load_omop(
    tables: OmopTables, needs: Needs, store: EventStore, *, needs_death: bool, report: Report
) -> tuple[str, ...]:
    """Read tables into the store, and return the codes that no concept is known for.


    Raises InputError naming table, column and row.
    """
    needed = {layout.PERSON, layout.OBSERVATION_PERIOD}
    needed |= {layout.DEATH} if needs_death else set()
    needed |= {layout.VISIT} if needs.of("visit") else set()
    needed |= {layout.CONDITION} if needs.of("condition") else set()
    needed |= {layout.MEASUREMENT} if needs.of("measurement") else set()
    needed |= {layout.OBSERVATION} if needs.of("answer") and not tables.has(layout.MEASUREMENT) else set()
    for table in sorted(needed, key=lambda table: table.name):
        if not tables.has(table):
            raise InputError(f"the source has no table {table.name}", hint="the mapping needs it: add it")
    vocabulary = _vocabulary(tables, needs)
    for number, (table, load) in enumerate(_LOADERS):
        if not tables.has(table):
            continue
        chosen = needs.of("condition") if table is layout.CONDITION else needs.of("measurement", "answer")
        chosen = needs.of("visit") if table is layout.VISIT else chosen
        if table in _EVENT_TABLES and not chosen:
            continue
        concepts = vocabulary.of(code for need in chosen for code in need.codes)
        for batch in tables.batches(table, tuple(sorted(concepts)) if table.concepts else ()):
            load(_Incoming(_choose(batch, table, concepts), table, number, chosen, vocabulary), store)
            report()
    return tuple(f"{code.vocabulary}:{code.code}{'*' * code.is_prefix}" for code in vocabulary.not_found)


def _vocabulary(tables: OmopTables, needs: Needs) -> Vocabulary:
    codes = {code for need in needs.all for code in (*need.codes, *(code for code, _ in need.answers))}
    has_concepts = tables.has(layout.CONCEPT)
    vocabulary = build_vocabulary(codes, (lambda: tables.batches(layout.CONCEPT)) if has_concepts else None)
    for need in needs.all:
        if need.codes and not vocabulary.of(need.codes):
            names = ", ".join(f"{code.vocabulary}:{code.code}" for code in need.codes[:5])
            hint = "has no such code" if has_concepts else "is not there"
            raise InputError(
                f"no concept is known for {names}", hint=f"the table CONCEPT {hint}: give OMOP:<concept id>"
            )
    return vocabulary


def _choose(batch: pa.Table, table: OmopTable, concepts: frozenset[int]) -> pa.Table:
    if not table.concepts:
        return batch
    wanted = pa.array(sorted(concepts), pa.int64())
    masks = [pc.is_in(batch[name], value_set=wanted) for name in table.concepts]
    return batch.filter(pc.or_(*masks))


def _load_persons(incoming: _Incoming, store: EventStore) -> None:
    batch = incoming.rows
    births = [_birth(*values) for values in zip(*(batch[name].to_pylist() for name in _BIRTH), strict=True)]
    dates = [pa.array([birth[part] for birth in births], pa.string()) for part in (0, 1)]
    try:
        birth, earliest = (pc.cast(texts, pa.date32()) for texts in dates)
    except pa.ArrowException:
        raise InputError(
            "person: a date of birth is no date", hint="check year_of_birth, month_of_birth and day_of_birth"
        ) from None
    sexes = pa.array([SEXES.get(concept) for concept in batch["gender_concept_id"].to_pylist()], pa.string())
    _insert(store, "person", PERSON, [_keys(batch), birth, earliest, sexes])
    _insert_records(store, incoming)


_BIRTH = ("year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime")


def _birth(year: int | None, month: int | None, day: int | None, date: object) -> tuple[str | None, str | None]:
    """Return the date of birth, in the middle of what is known, and the earliest that it may be."""
    if date is not None:
        return str(date), str(date)
    if year is None:
        return None, None
    if not month:
        return f"{year:04}{MIDDLE_OF_YEAR}", f"{year:04}-01-01"
    start = f"{year:04}-{month:02}-"
    return (start + f"{day:02}", start + f"{day:02}") if day else (start + MIDDLE_OF_MONTH, start + "01")


def _load_periods(incoming: _Incoming, store: EventStore) -> None:
    batch = incoming.rows
    start, end = batch["observation_period_start_date"], batch["observation_period_end_date"]
    _insert(store, "period", PERIOD, [_keys(batch), start, end])


def _load_deaths(incoming: _Incoming, store: EventStore) -> None:
    batch = incoming.rows
    dated = pa.array([True] * batch.num_rows, pa.bool_())
    _insert(store, "death", DEATH, [_keys(batch), *[batch["death_date"]] * 5, dated])


def _load_events(incoming: _Incoming, store: EventStore) -> None:
    table, vocabulary = incoming.table, incoming.vocabulary
    _insert_records(store, incoming)
    for need in incoming.needs:
        rows = _choose(incoming.rows, table, vocabulary.of(need.codes))
        count = rows.num_rows
        date = rows[next(column.name for column in table.columns if column.kind == "date")]
        moments = [column.name for column in table.columns if column.kind == "moment"]
        moment = rows[moments[0]] if moments else pa.nulls(count, pa.timestamp("us"))
        value, unit, comparator = _values(rows, need, vocabulary)
        _insert(
            store,
            "event",
            EVENT,
            [
                _keys(rows),
                pa.array([need.number] * count, pa.int32()),
                value,
                unit,
                comparator,
                *[date] * 5,
                moment,
                pa.array([incoming.number] * count, pa.int32()),
                pa.array([0] * count, pa.int64()),
                rows[table.columns[0].name],
                pa.array([0] * count, pa.int32()),
            ],
        )


_Values = tuple[pa.Array, pa.Array, pa.Array]


def _values(rows: pa.Table, need: Need, vocabulary: Vocabulary) -> _Values:
    """Return value, unit and comparator of a need's rows; a condition or a visit has none."""
    no_text = pa.nulls(rows.num_rows, pa.string())
    if need.domain == "answer":
        levels = {concept: value for code, value in need.answers for concept in vocabulary.of([code])}
        return _look_up(rows["value_as_concept_id"], levels, pa.float64()), no_text, no_text
    if need.domain != "measurement":
        return pa.nulls(rows.num_rows, pa.float64()), no_text, no_text
    written = pc.utf8_slice_codeunits(rows["unit_source_value"], 0, MAX_UNIT)
    unit = _of_concept(rows["unit_concept_id"], vocabulary.units, unknown=UNKNOWN_UNIT, otherwise=written)
    operator = _of_concept(rows["operator_concept_id"], OPERATORS, unknown=UNKNOWN_OPERATOR, otherwise=no_text)
    return rows["value_as_number"], unit, pc.if_else(pc.equal(operator, EQUAL), pa.scalar(None, pa.string()), operator)


def _look_up(concepts: pa.ChunkedArray, names: Mapping[int, object], kind: pa.DataType) -> pa.ChunkedArray:
    """Return what each concept stands for; null for a concept that isn't listed."""
    return pa.array(names.values(), kind).take(pc.index_in(concepts, value_set=pa.array(names, pa.int64())))


def _of_concept(
    concepts: pa.ChunkedArray, names: Mapping[int, str], *, unknown: str, otherwise: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Return each concept's name, `unknown` for one that isn't listed, `otherwise` where there is no concept (0)."""
    is_given = pc.fill_null(pc.not_equal(concepts, 0), fill_value=False)
    return pc.if_else(is_given, pc.fill_null(_look_up(concepts, names, pa.string()), unknown), otherwise)


def _insert(store: EventStore, table: str, schema: pa.Schema, columns: list[pa.Array]) -> None:
    store.insert(table, pa.Table.from_arrays(columns, schema=schema))


def _insert_records(store: EventStore, incoming: _Incoming) -> None:
    store.insert_records(incoming.rows, kind=incoming.number, identity=incoming.table.columns[0].name)


def _keys(batch: pa.Table) -> pa.Array:
    return pc.cast(batch["person_id"], pa.string())


_EVENT_TABLES = frozenset({layout.VISIT, layout.CONDITION, layout.MEASUREMENT, layout.OBSERVATION})
_LOADERS = (
    (layout.PERSON, _load_persons),
    (layout.OBSERVATION_PERIOD, _load_periods),
    (layout.DEATH, _load_deaths),
    (layout.VISIT, _load_events),
    (layout.CONDITION, _load_events),
    (layout.MEASUREMENT, _load_events),
    (layout.OBSERVATION, _load_events),
)
