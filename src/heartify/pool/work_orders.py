"""The pool's work orders and their states, persisted before anything is answered or done.

    awaiting-plan → queued → running → settling → settled
          │           │         │ (once more after a crash: back to queued)
          └───────────┴─────────┴────→ conceding → conceded | expired

`conceding` is the decision to give the deal back, kept until the chain has it; `conceded` gives the lab its money back
at once and the pool its stake; `expired` means that the deadline passed first.
"""

from __future__ import annotations

import dataclasses
import enum
import threading
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from heartify.errors import UsageError

_metadata = sa.MetaData()
_table = sa.Table(
    "work_orders",
    _metadata,
    sa.Column("deal_id", sa.String(66), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("deadline", sa.Integer, nullable=False),
    sa.Column("plan", sa.LargeBinary),
    sa.Column("result_key", sa.LargeBinary),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("step", sa.String(200), nullable=False, default=""),
    sa.Column("problem", sa.String(500), nullable=False, default=""),
    sa.Column("bundle", sa.LargeBinary),
)


class State(enum.Enum):
    """Where a work order stands."""

    AWAITING_PLAN = "awaiting-plan"
    QUEUED = "queued"
    RUNNING = "running"
    SETTLING = "settling"
    SETTLED = "settled"
    CONCEDING = "conceding"
    CONCEDED = "conceded"
    EXPIRED = "expired"


FINAL_STATES = frozenset({State.SETTLED, State.CONCEDED, State.EXPIRED})


@dataclasses.dataclass(frozen=True, slots=True)
class WorkOrder:
    """One deal's execution. `bundle` is the result bundle's JSON once there is one."""

    deal_id: str
    state: State
    deadline: int
    plan: bytes | None
    result_key: bytes | None
    attempts: int
    step: str
    problem: str
    bundle: bytes | None


class WorkOrders:
    """The table of work orders; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", lambda c, _: c.execute("PRAGMA journal_mode=WAL"))
        self._lock = threading.Lock()
        _metadata.create_all(self._engine)

    def add(self, deal_id: str, deadline: int) -> None:
        """Note a deal that was matched for this pool; a known one stays as it is."""
        with self._lock, self._engine.begin() as connection:
            if connection.execute(sa.select(_table.c.deal_id).where(_table.c.deal_id == deal_id)).first() is None:
                values = {"deal_id": deal_id, "state": State.AWAITING_PLAN.value, "deadline": deadline}
                connection.execute(sa.insert(_table).values(values))

    def get(self, deal_id: str) -> WorkOrder:
        """Return a work order.

        Raises:
            UsageError: the pool has none for this deal.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_table).where(_table.c.deal_id == deal_id)).first()
        if row is None:
            raise UsageError(f"this pool has no work order for the deal {deal_id}")
        return _work_order(row)

    def all(self) -> tuple[WorkOrder, ...]:
        """Return every work order."""
        with self._engine.connect() as connection:
            return tuple(_work_order(row) for row in connection.execute(sa.select(_table)))

    def in_state(self, *states: State) -> tuple[WorkOrder, ...]:
        """Return the work orders in any of these states."""
        return tuple(order for order in self.all() if order.state in states)

    def queue(self, deal_id: str, plan: bytes, result_key: bytes) -> None:
        """Give a waiting work order its plan and queue it; one that has a plan already stays as it is."""
        waiting = (_table.c.deal_id == deal_id, _table.c.state == State.AWAITING_PLAN.value)
        self._update(waiting, state=State.QUEUED.value, plan=plan, result_key=result_key)

    def lease(self, deal_id: str) -> bool:
        """Take a queued work order for a worker; False when another took it."""
        queued = (_table.c.deal_id == deal_id, _table.c.state == State.QUEUED.value)
        return self._update(queued, state=State.RUNNING.value, attempts=_table.c.attempts + 1) == 1

    def move(self, deal_id: str, state: State, *, problem: str = "", bundle: bytes | None = None) -> None:
        """Move a work order to a state."""
        values: dict[str, object] = {"state": state.value, "problem": problem[:500]}
        if bundle is not None:
            values["bundle"] = bundle
        self._update((_table.c.deal_id == deal_id,), **values)

    def give_up_unplanned(self, deal_id: str, problem: str) -> None:
        """Decide to give back a deal without a plan; one whose plan came meanwhile stays as it is."""
        waiting = (_table.c.deal_id == deal_id, _table.c.state == State.AWAITING_PLAN.value)
        self._update(waiting, state=State.CONCEDING.value, problem=problem[:500])

    def give_back_lease(self, deal_id: str, problem: str) -> None:
        """Queue a running work order again without counting an attempt: its enclave was never started."""
        running = (_table.c.deal_id == deal_id, _table.c.state == State.RUNNING.value)
        self._update(running, state=State.QUEUED.value, attempts=_table.c.attempts - 1, problem=problem[:500])

    def note_step(self, deal_id: str, step: str) -> None:
        """Note what a running work order is at."""
        self._update((_table.c.deal_id == deal_id,), step=step[:200])

    def requeue_interrupted(self) -> None:
        """Queue again what was running when the pool stopped."""
        self._update((_table.c.state == State.RUNNING.value,), state=State.QUEUED.value)

    def _update(self, where: tuple[sa.ColumnElement[bool], ...], **values: object) -> int:
        with self._lock, self._engine.begin() as connection:
            return int(connection.execute(sa.update(_table).where(*where).values(values)).rowcount)


def _work_order(row: sa.Row[tuple[object, ...]]) -> WorkOrder:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public row mapping
    values["state"] = State(values["state"])
    return WorkOrder(**values)
