"""The log in the database: a chain, appended to within the caller's transaction, read in pages."""

from __future__ import annotations

import concurrent.futures

import pytest
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import FIRST_PREVIOUS, check_follows, entry_digest
from heartify.broker.audit.log import append, entries, entry_at, head
from heartify.errors import DocumentError, IntegrityError


def test_entries_follow_one_another_from_one_on(log):
    log.fill(5)

    found = log.entries()

    assert [entry.sequence for entry in found] == [1, 2, 3, 4, 5]
    assert found[0].previous == FIRST_PREVIOUS
    for before, entry in zip([None, *found], found, strict=False):
        check_follows(entry, before)
        assert entry.digest == entry_digest(entry)


def test_what_is_rolled_back_leaves_no_entry(log):
    log.fill(1)

    def fail_after_appending() -> None:
        with db.writing(log.engine) as connection:
            append(connection, log.clock(), AuditEvent.RESUMED, {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_appending()

    assert len(log.entries()) == 1


def test_a_refused_detail_undoes_what_it_was_to_record(log):
    def pause_with_too_much() -> None:
        with db.writing(log.engine) as connection:
            connection.execute(sa.insert(db.facts).values(name="paused", value="x"))
            append(connection, log.clock(), AuditEvent.PAUSED, {"reason": "x", "patient": "K5007"})

    with pytest.raises(DocumentError):
        pause_with_too_much()

    with log.engine.connect() as connection:
        assert connection.execute(sa.select(db.facts)).all() == []


def test_writers_at_once_make_one_chain(log):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: log.append(AuditEvent.RESUMED), range(40)))

    found = log.entries()
    assert len(found) == 40
    for before, entry in zip([None, *found], found, strict=False):
        check_follows(entry, before)


def test_a_long_log_is_read_in_pages_and_parts(log):
    with db.writing(log.engine) as connection:
        for _ in range(2_005):
            append(connection, log.clock(), AuditEvent.RESUMED, {})

    assert [entry.sequence for entry in log.entries()] == list(range(1, 2_006))
    assert [entry.sequence for entry in log.entries(after=1_990, until=2_001)] == list(range(1_991, 2_002))


def test_the_head_and_any_entry_can_be_asked_for(log):
    with log.engine.connect() as connection:
        assert head(connection) is None
    log.fill(3)
    with log.engine.connect() as connection:
        assert head(connection).sequence == 3
        assert entry_at(connection, 2) == log.entries()[1]
        assert entry_at(connection, 4) is None


@pytest.mark.parametrize(
    "change", [{"event": "keys-given"}, {"details": "[]"}, {"details": "{"}, {"previous": "0x"}, {"time": -1}]
)
def test_a_row_that_nothing_here_has_written_is_named(log, change):
    log.fill(3)
    with db.writing(log.engine) as connection:
        connection.execute(sa.update(db.audit_entries).where(db.audit_entries.c.sequence == 2).values(**change))

    with pytest.raises(IntegrityError, match="audit entry 2 in the database"), log.engine.connect() as connection:
        list(entries(connection))
