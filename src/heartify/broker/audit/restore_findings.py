"""What an auditor must hear of each restore: which entries are gone, and what the chain knows of that time. Pure.

The word `restored` excuses nothing. Lost entries are counted by the anchors that the chain keeps; the deals that were
settled on this broker's key receipt and have no entry are listed, as far as the restore can have lost theirs; and what
a restore says of blocks and anchors must agree with the chain, so it can't be written later or for another occasion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from heartify.broker.audit.chain_records import ChainRecords
from heartify.broker.audit.cross_check import Difference, RestorePoint
from heartify.broker.audit.verification import Restore

_MOST_NAMED = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFinding:
    """One restore: entry `sequence` with `digest` tells of it, at block `block`.

    Entries `first_lost` to `last_lost` of the log that was anchored are gone, both 0 if none is. `is_replaced` says
    that this log has others of such numbers: two copies of it went on, or it was rewritten.
    `lost_deals` were settled with this broker's key receipt and have no entry. `is_known` says that the auditor named
    the digest, `contradiction` what the chain says against the entry itself, which nobody can know away.
    """

    sequence: int
    digest: str
    block: int
    first_lost: int
    last_lost: int
    is_replaced: bool
    lost_deals: tuple[str, ...]
    is_known: bool
    contradiction: str
    text: str

    @property
    def passed(self) -> bool:
        """Return whether nothing is lost, or the auditor knows of it."""
        return not self.contradiction and (self.is_known or not (self.last_lost or self.lost_deals))


def restore_points(restores: Iterable[Restore]) -> tuple[RestorePoint, ...]:
    """Return what comparing the deals needs of each restore."""
    return tuple(RestorePoint(item.told.sequence, item.told.block, item.kept_time) for item in restores)


def find_losses(
    restores: Iterable[Restore], records: ChainRecords | None, lost: Iterable[Difference], known: AbstractSet[str]
) -> tuple[RestoreFinding, ...]:
    """Return a finding for each restore; `records` None leaves the chain out, `lost` are the deals without an entry."""
    unlogged = tuple(lost)
    return tuple(
        _finding(
            item,
            tuple(dict.fromkeys(each.deal for each in unlogged if each.restore == item.told.sequence)),
            "" if records is None else _contradiction(item, records),
            chain_read=records is not None,
            is_known=item.told.digest in known,
        )
        for item in restores
    )


def _finding(
    item: Restore, deals: tuple[str, ...], contradiction: str, *, chain_read: bool, is_known: bool
) -> RestoreFinding:
    told = item.told
    last = 0 if told.anchor is None else told.anchor.sequence
    is_replaced = told.kept >= last > 0 or any(head.sequence <= told.kept for head in item.lost)
    first = 0 if last == 0 else (item.vouched if is_replaced else told.kept) + 1
    parts = [_gap(item, last, chain_read=chain_read, is_replaced=is_replaced)]
    if deals:
        named = ", ".join(deals[:_MOST_NAMED]) + (", …" if len(deals) > _MOST_NAMED else "")
        parts.append(f"deals settled on this broker's key receipt that have no entry: {len(deals)} ({named})")
    elif chain_read:
        parts.append("no deal that was settled on this broker's key receipt lacks its entry by it")
    if contradiction:
        parts = [contradiction]
    if is_known:
        parts.append("you said that you know of it")
    return RestoreFinding(
        sequence=told.sequence,
        digest=told.digest,
        block=told.block,
        first_lost=first,
        last_lost=last,
        is_replaced=is_replaced,
        lost_deals=deals,
        is_known=is_known,
        contradiction=contradiction,
        text="; ".join(parts),
    )


def _gap(item: Restore, last: int, *, chain_read: bool, is_replaced: bool) -> str:
    told = item.told
    where = f"in a restore at block {told.block}, which entry {told.sequence} tells of"
    if last == 0:
        return f"no anchored entry was lost {where}; entries after {told.kept} that no anchor covered can't be counted"
    lost = f"{_entries(told.kept + 1, last)} lost {where}"
    if told.kept >= last:
        lost = f"the log that was anchored up to entry {last} was given up {where}"
    if is_replaced:
        begin = f"entries {item.vouched + 1} to {told.kept} here are not those that were anchored"
        return f"{lost}; {begin}: another copy of the log went on, or it was rewritten"
    if chain_read and item.vouched < told.kept:
        lost += f"; no anchor bears out what was kept after entry {item.vouched}"
    return lost


def _entries(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"


def _contradiction(item: Restore, records: ChainRecords) -> str:
    """Return what on chain a restore can't agree with, nothing when it may have been as it says."""
    told = item.told
    later = [each.event.place.block_number for each in records.anchors if each.event.sequence >= told.sequence]
    if later and told.block > min(later):
        return f"entry {told.sequence} tells of a restore at block {told.block}, and was anchored in block {min(later)}"
    if told.anchor is None:
        return ""
    for each in records.anchors:
        if (each.event.sequence, str(each.event.head)) == (told.anchor.sequence, told.anchor.head):
            if each.event.place.block_number <= told.block:
                return ""
            return f"entry {told.sequence} names an anchor that was made after the restore at block {told.block}"
    return f"entry {told.sequence} names an anchor of entry {told.anchor.sequence} that the chain doesn't have"
