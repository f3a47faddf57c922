"""What a steward wants to know of the key broker on a Monday morning: does it run, what did it do, what is wrong.

Facts come from the home, the database, the service's own health page and the chain; whatever can't be asked is said
to be unknown, and is a problem. `problems_of` is the one place that decides what deserves attention.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from heartify.broker.activity import Activity
from heartify.broker.deal_on_chain import MAX_CLOCK_DIFFERENCE_SECONDS

_DAY = 86400
_ANCHOR_DAYS, _BACKUP_DAYS = 2, 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChainStanding:
    """The hospital's own node and what it shows: newest block's time, and the newest anchor of the audit log."""

    block_time: int
    may_idle: bool
    anchored_entry: int
    anchored_at: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """The state of one broker; times are UTC seconds. `chain` is None when the node can't be reached.

    `service` is `ok`, `paused` or `unreachable`; `kek` and `database` are kinds; `approved` are names with versions.
    """

    hospital: str
    broker: str
    url: str
    service: str
    paused: str | None
    chain: ChainStanding | None
    policy: str
    trusts_simulation: bool
    kek: str
    database: str
    live_versions: int
    revoked_versions: int
    live_grants: int
    approved: tuple[str, ...]
    requester_rules: int
    activity: Activity
    now: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Return what deserves attention, most urgent first."""
        return tuple(problems_of(self))


def problems_of(status: BrokerStatus) -> Iterator[str]:
    """Yield a sentence for everything that deserves a steward's attention."""
    if status.service == "unreachable":
        yield f"the broker does not answer at {status.url}: no lab can use this hospital's data"
    if status.paused is not None:
        yield f"the broker is paused ({status.paused}): no keys are released"
    yield from _problems_of_chain(status)
    if not status.approved:
        yield "no app release is approved: no enclave gets keys"
    if status.trusts_simulation:
        yield f"the trust policy {status.policy!r} believes simulated evidence, which protects nothing"
    backup = status.activity.last_backup_at
    if status.live_versions and (backup is None or status.now - backup > _BACKUP_DAYS * _DAY):
        yield f"the broker's state was not backed up in the last {_BACKUP_DAYS} days"


def _problems_of_chain(status: BrokerStatus) -> Iterator[str]:
    chain = status.chain
    if chain is None:
        yield "the hospital's node can't be reached: no keys are released"
        return
    ahead = chain.block_time - status.now
    if ahead > MAX_CLOCK_DIFFERENCE_SECONDS:
        yield f"the newest block is {ahead} seconds ahead of this machine's clock: no keys are released"
    if -ahead > MAX_CLOCK_DIFFERENCE_SECONDS and not chain.may_idle:
        yield f"the newest block is {-ahead} seconds old: the node is behind, and no keys are released"
    behind = status.activity.audit_entries - chain.anchored_entry
    if behind < 0:
        yield "the audit log is shorter than its anchor on chain: an older database was put back, no keys are released"
    elif behind and status.now - chain.anchored_at > _ANCHOR_DAYS * _DAY:
        yield f"{behind} entries of the audit log are not anchored on chain for over {_ANCHOR_DAYS} days"
