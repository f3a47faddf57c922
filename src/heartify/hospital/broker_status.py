"""What a steward wants to know of the key broker on a Monday morning: does it run, what did it do, what is wrong.

Facts come from the home, the database, the service's own health page and the chain; whatever can't be asked is said
to be unknown, and is a problem. `problems_of` is the one place that decides what deserves attention.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from heartify.broker.activity import Activity
from heartify.broker.deal_on_chain import MAX_CLOCK_DIFFERENCE_SECONDS

_DAY = 86400
_ANCHOR_DAYS, _BACKUP_DAYS = 2, 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChainStanding:
    """The hospital's own node and what it shows: newest block's time, and the newest anchor of the audit log.

    `continues` says whether the log has the anchored entry, or a restore in it has named it as lost.
    """

    block_time: int
    may_idle: bool
    anchored_entry: int
    anchored_at: int
    continues: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class KeptCollateralStanding:
    """Collateral of one platform type: when it was fetched (None: from a bundle), and when its first part ends."""

    name: str
    fetched_at: int | None
    next_update: int


@dataclasses.dataclass(frozen=True, slots=True)
class CollateralStanding:
    """Where the broker gets collateral, and what it keeps. `refresh_seconds` is None for a bundle."""

    source: str
    refresh_seconds: int | None
    kept: tuple[KeptCollateralStanding, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """The state of one broker; times are UTC seconds. `chain` is None when the node can't be reached.

    `service` is `ok`, `paused` or `unreachable`; `kek` and `database` are kinds; `approved` are names with versions.
    `collateral` is None when the broker believes what hosts send along; `signed_entry` is the newest audit entry whose
    head the broker signed, 0 before the first.
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
    rotation_under_way: bool
    database: str
    schema: str
    collateral: CollateralStanding | None
    signed_entry: int
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
    yield from _problems_of_collateral(status)
    if _is_open_http(status.url):
        yield f"labs and pools reach the broker at {status.url} without TLS: give it a certificate or a proxy with one"
    if status.rotation_under_way:
        yield "a rotation of the key-encryption key was not finished: start the broker, which finishes or undoes it"
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
    if not chain.continues:
        yield (
            f"entry {chain.anchored_entry} of the audit log is anchored on chain and the log does not have it: "
            "another database was put back, no keys are released"
        )
    elif behind > 0 and chain.anchored_entry == 0:
        yield "the audit log was never anchored on chain: it proves nothing yet (`heartify hospital audit anchor`)"
    elif behind > 0 and status.now - chain.anchored_at > _ANCHOR_DAYS * _DAY:
        yield f"{behind} entries of the audit log are not anchored on chain for over {_ANCHOR_DAYS} days"


def _problems_of_collateral(status: BrokerStatus) -> Iterator[str]:
    if status.collateral is None:
        return
    refresh = status.collateral.refresh_seconds
    for kept in status.collateral.kept:
        if kept.next_update <= status.now:
            yield f"the collateral for {kept.name} has ended: its evidence is refused until newer can be had"
        elif refresh is not None and kept.fetched_at is not None and status.now - kept.fetched_at > refresh:
            age, due = (status.now - kept.fetched_at) // 3600, refresh // 3600
            yield f"the collateral for {kept.name} is {age} hours old, due every {due}: is the service reachable?"


def _is_open_http(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"
