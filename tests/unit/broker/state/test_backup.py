"""Backups restore a state whole or not at all, open for nobody else, and roll no use counter back."""

from __future__ import annotations

import dataclasses
import io
import secrets

import pytest
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append, entries, head
from heartify.broker.backup.create import create_backup
from heartify.broker.backup.envelope import CHUNK_BYTES, BackupHeader, read_header, read_lines, write_envelope
from heartify.broker.backup.restore import RestoreTarget, acknowledge_rollback, restore_backup
from heartify.broker.backup.rows import backed_up_tables, dump_rows
from heartify.broker.database import open_database, writing
from heartify.broker.facts import read_fact, set_fact
from heartify.broker.kek.rotation import rewrap_master_keys
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.pause import Pause
from heartify.broker.restore_guard import check_not_before_restore, restored_block
from heartify.broker.rollback import Anchor, check_against_anchor
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault, key_commitment
from heartify.errors import ChainError, DocumentError, HeartifyError, IntegrityError, PolicyError, UsageError
from heartify.protocol.eip712 import Domain

NOW = 1_795_000_000
KEK = SeedKek(b"\x01" * 32)
BROKER = "0x" + "b0" * 20
DOMAIN = Domain(31337, "0x" + "ab" * 20)
DEAL = "0x" + "dd" * 32
VERSIONS = tuple(f"0x{number:064x}" for number in (1, 2, 3))
NO_ANCHOR = Anchor(0, "0x" + "00" * 32)


class Chain:
    """What the hospital's node says."""

    def __init__(self, block: int = 500, anchor: Anchor = NO_ANCHOR, withdrawn: frozenset[str] = frozenset()) -> None:
        self.block, self.anchor, self.withdrawn = block, anchor, withdrawn
        self.down = False

    def newest_block(self) -> int:
        if self.down:
            raise ChainError("the chain cannot be reached")
        return self.block

    def audit_anchor(self, broker: str) -> Anchor:
        assert broker == BROKER
        return self.anchor

    def withdrawn_versions(self) -> frozenset[str]:
        return self.withdrawn


class Home:
    """A broker's database with something in every table."""

    def __init__(self, url: str, folder) -> None:
        self.url, self.folder = url, folder
        self.engine = open_database(url)
        self.file = folder / "broker.backup"

    def fill(self) -> None:
        with writing(self.engine) as connection:
            for number, version in enumerate(VERSIONS):
                row = {"version": version, "dataset": "0x01", "manifest": b"\0\xff" * 90_000, "dictionary": b"{}"}
                wrapped = Vault(KEK).wrap(version, bytes([number]) * 32)
                connection.execute(
                    sa.insert(db.versions).values(row | {"wrapped_master_key": wrapped, "revoked": False})
                )
            grant = {"order_digest": "0x03", "policy_digest": "0x04", "policy": b"p", "signed_order": b"s"}
            connection.execute(sa.insert(db.grants).values(grant | {"version": VERSIONS[0], "revoked": False}))
            release = {"release_id": "0x05", "document": b"doc", "approved": True, "name": "é", "decided_at": NOW}
            connection.execute(sa.insert(db.app_releases).values(release))
            connection.execute(sa.insert(db.requester_rules).values(requester=BROKER, decision="deny", note="n"))
            connection.execute(sa.insert(db.collateral_marks).values(scope="root-crl/aa", number=7))
            connection.execute(sa.insert(db.collateral_cache).values(name="tcb", content="{}", fetched_at=NOW))
            set_fact(connection, "audit-anchor", "{}")
            append(connection, NOW, AuditEvent.STARTED, {})
        self.release(1)

    def release(self, attempt: int) -> None:
        with writing(self.engine) as connection:
            row = {"deal": DEAL, "version": VERSIONS[0], "attempt": attempt, "enclave": f"0x{attempt:040x}"}
            more = {"measurement": "0x06", "simulated": True, "released_at": NOW}
            connection.execute(sa.insert(db.releases).values(row | more))
            append(connection, NOW, AuditEvent.STARTED, {})

    def back_up(self, kek=KEK) -> BackupHeader:
        return create_backup(self.file, self.engine, kek, broker=BROKER, domain=DOMAIN, clock=lambda: NOW)

    def target(self, **changes) -> RestoreTarget:
        base = RestoreTarget(
            engine=self.engine, kek=KEK, broker=BROKER, domain=DOMAIN, destroyed=frozenset(), now=NOW + 60
        )
        return dataclasses.replace(base, **changes)

    def restore(self, chain=None, *, replace=False, **changes):
        return restore_backup(self.file, self.target(**changes), chain or Chain(), replace=replace)

    def empty(self) -> None:
        """What is left after the disk died."""
        with writing(self.engine) as connection:
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(sa.delete(table))

    def contents(self) -> dict[str, list[dict]]:
        with self.engine.connect() as connection:
            return {
                table.name: [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.c))]
                for table in backed_up_tables()
            }

    def wrapped(self, version: str):
        with self.engine.connect() as connection:
            query = sa.select(db.versions.c.wrapped_master_key).where(db.versions.c.version == version)
            return connection.execute(query).scalar()


@pytest.fixture
def home(any_database_url, tmp_path):
    made = Home(any_database_url, tmp_path)
    made.fill()
    yield made
    made.engine.dispose()


def test_every_row_comes_back_after_the_database_was_lost(home):
    before = home.contents()
    home.back_up()
    home.empty()

    home.restore()

    after = home.contents()
    changed = {"facts", "audit_entries"}
    assert {name: rows for name, rows in after.items() if name not in changed} == {
        name: rows for name, rows in before.items() if name not in changed
    }
    assert after["audit_entries"][: len(before["audit_entries"])] == before["audit_entries"]
    with home.engine.connect() as connection:
        assert [entry.event.value for entry in entries(connection)][-2:] == ["restored", "paused"]
    assert Vault(KEK).unwrap(VERSIONS[1], home.wrapped(VERSIONS[1])) == b"\x01" * 32


def test_a_backup_of_sqlite_restores_to_postgresql_and_back(tmp_path, postgresql_server):
    one = Home(f"sqlite:///{tmp_path / 'one.sqlite'}", tmp_path)
    one.fill()
    one.back_up()
    (tmp_path / "two").mkdir()
    other = Home(postgresql_server.new_database(), tmp_path / "two")
    other.file = one.file
    other.restore()
    moved = other.contents()
    other.file = tmp_path / "two" / "second.backup"
    other.back_up()
    one.empty()
    one.file = other.file

    one.restore(Chain(block=600))

    assert one.contents()["versions"] == moved["versions"]
    assert one.contents()["releases"] == moved["releases"]
    for each in (one, other):
        each.engine.dispose()


def test_the_file_is_for_its_owner_and_shows_neither_rows_nor_keys(home):
    home.back_up()

    data = home.file.read_bytes()
    assert home.file.stat().st_mode & 0o777 == 0o600
    assert b"root-crl" not in data
    assert home.wrapped(VERSIONS[0])[-16:] not in data
    assert [path.name for path in home.folder.iterdir() if path.name.startswith(".")] == []


def test_no_file_is_overwritten(home):
    home.file.write_text("precious")

    with pytest.raises(UsageError, match="exists already"):
        home.back_up()
    assert home.file.read_text() == "precious"


def test_backing_up_is_in_the_log_with_the_digest_of_the_file(home):
    home.back_up()

    with home.file.open("rb") as file:
        _, digest = read_header(file)
    with home.engine.connect() as connection:
        newest = head(connection)
    assert (newest.event.value, newest.details) == ("backed-up", {"digest": digest})


def test_what_is_committed_while_a_backup_runs_is_in_it_wholly_or_not_at_all(home):
    with home.engine.connect() as connection:
        lines = dump_rows(connection)
        first = next(lines)
        home.release(2)
        rest = list(lines)

    text = b"\n".join([first, *rest]).decode()
    assert text.count('["releases"') in (1, 2)
    if home.engine.dialect.name == "sqlite":
        assert text.count('["releases"') == 1  # the moment is that of the first row


def test_after_a_restore_deals_from_before_get_no_keys(home):
    home.back_up()
    home.release(2)  # forgotten by the backup
    home.empty()

    restored = home.restore(Chain(block=500))

    with home.engine.connect() as connection:
        block = restored_block(connection)
    assert restored.block == block == 500
    for matched in (1, 499, 500):
        with pytest.raises(PolicyError, match="state was restored at block 500"):
            check_not_before_restore(matched, block)
    check_not_before_restore(501, block)
    check_not_before_restore(1, None)


def test_an_older_restore_point_never_lowers_the_block(home):
    home.back_up()
    home.restore(Chain(block=900), replace=True)
    assert home.restore(Chain(block=700), replace=True).block == 900


def test_a_restored_broker_is_paused_until_the_steward_has_looked(home):
    home.back_up()
    home.empty()

    home.restore()

    pause = Pause(home.engine, lambda: NOW)
    with pytest.raises(PolicyError, match="paused"):
        pause.check()
    pause.end()
    pause.check()


def test_a_state_that_has_gone_on_is_not_overwritten_unless_asked(home):
    home.back_up()
    home.release(2)
    before = home.contents()

    with pytest.raises(PolicyError, match="gone on since"):
        home.restore()
    assert home.contents() == before

    home.restore(replace=True)
    assert len(home.contents()["releases"]) == 1


def test_a_state_with_another_history_is_not_overwritten_unless_asked(home):
    home.back_up()
    with writing(home.engine) as connection:
        connection.execute(sa.delete(db.audit_entries))
        append(connection, NOW + 1, AuditEvent.STARTED, {})
    before = home.contents()

    with pytest.raises(PolicyError, match="another history"):
        home.restore()
    assert home.contents() == before


def test_versions_without_a_log_are_not_overwritten_unless_asked(home):
    home.back_up()
    with writing(home.engine) as connection:
        connection.execute(sa.delete(db.audit_entries))

    with pytest.raises(PolicyError, match="no audit log"):
        home.restore()


def test_keys_withdrawn_since_the_backup_do_not_come_back(home):
    blobs = {version: home.wrapped(version) for version in VERSIONS}
    home.back_up()
    store = BrokerStore(home.engine)
    store.revoke_version(VERSIONS[0])  # in this database
    commitment = store.destroyed_key(VERSIONS[0])

    chain = Chain(withdrawn=frozenset({VERSIONS[1], "0x" + "99" * 32}))
    restored = home.restore(chain, replace=True, destroyed=frozenset({VERSIONS[2]}))

    assert set(restored.erased) == set(VERSIONS)
    for version in VERSIONS:
        assert home.wrapped(version) is None
        with pytest.raises(PolicyError, match="revoked"):
            store.live_version(version)
        assert store.destroyed_key(version) == (
            commitment if version == VERSIONS[0] else key_commitment(version, blobs[version])
        )
    if home.engine.dialect.name == "sqlite":
        for path in home.folder.glob("state.sqlite*"):
            assert not any(blob[-16:] in path.read_bytes() for blob in blobs.values())


def test_marks_of_collateral_never_go_back(home):
    home.back_up()
    with writing(home.engine) as connection:
        connection.execute(sa.update(db.collateral_marks).values(number=9))
        connection.execute(sa.insert(db.collateral_marks).values(scope="tcb/aa", number=3))

    home.restore(replace=True)

    marks = {row["scope"]: row["number"] for row in home.contents()["collateral_marks"]}
    assert marks == {"root-crl/aa": 9, "tcb/aa": 3}


def test_without_the_chain_nothing_is_restored(home):
    home.back_up()
    home.empty()
    chain = Chain()
    chain.down = True

    with pytest.raises(ChainError):
        home.restore(chain)
    assert home.contents()["versions"] == []


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"broker": "0x" + "b1" * 20}, PolicyError, "not of this home's"),
        ({"domain": Domain(1, DOMAIN.contract)}, PolicyError, "not of this home's"),
        ({"domain": Domain(31337, "0x" + "ac" * 20)}, PolicyError, "not of this home's"),
        ({"kek": SeedKek(b"\x02" * 32)}, IntegrityError, "wrapped by the key"),
    ],
)
def test_a_backup_of_another_home_or_key_is_refused(home, changes, error, complaint):
    home.back_up()
    home.empty()

    class AnyChain(Chain):
        def audit_anchor(self, broker: str) -> Anchor:
            return self.anchor

    with pytest.raises(error, match=complaint):
        home.restore(AnyChain(), **changes)
    assert home.contents()["versions"] == []


def test_no_damage_goes_unnoticed_and_none_changes_anything(tmp_path):
    home = Home(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path)
    home.fill()
    home.back_up()
    whole = home.file.read_bytes()
    before = home.contents()
    damaged = [whole[:-1], whole[: len(whole) // 2], whole + b"\0\0\0\0", whole[:30], b"", whole + whole]
    places = {*range(0, 700, 13), *range(700, len(whole), len(whole) // 40), len(whole) - 1}
    damaged += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]

    for data in damaged:
        home.file.write_bytes(data)
        with pytest.raises((IntegrityError, DocumentError, PolicyError)):
            home.restore(replace=True)
    assert home.contents() == before
    home.engine.dispose()


HEADER = BackupHeader(
    broker=BROKER,
    chain_id=1,
    market=BROKER,
    revision="0002",
    created_at=NOW,
    audit_sequence=0,
    audit_head="0x" + "00" * 32,
    kek_id=KEK.kek_id,
)


def sealed(lines) -> bytes:
    file = io.BytesIO()
    write_envelope(file, HEADER, KEK, lines)
    return file.getvalue()


def opened(data: bytes) -> list[bytes]:
    file = io.BytesIO(data)
    header, digest = read_header(file)
    return list(read_lines(file, header, digest, KEK))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"x"],
        [b"x" * (CHUNK_BYTES - 1)],
        [b"x" * CHUNK_BYTES, b"y"],
        [secrets.token_hex(CHUNK_BYTES).encode()] * 3,
    ],
    ids=["none", "empty", "one", "just-a-chunk", "over-a-chunk", "many-chunks"],
)
def test_lines_of_any_length_come_back(lines):
    assert opened(sealed(lines)) == lines


def test_chunks_cannot_change_places_nor_be_left_out():
    data = sealed([b"a" * CHUNK_BYTES, b"b" * CHUNK_BYTES, b"c"])
    start = data.index(b"}") + 1
    frame = 4 + CHUNK_BYTES + 16
    first, second, rest = (
        data[start : start + frame],
        data[start + frame : start + 2 * frame],
        data[start + 2 * frame :],
    )

    for changed in (second + first + rest, first + rest, second + rest, first + second, rest, first + first + rest):
        with pytest.raises(IntegrityError, match="damaged or was cut"):
            opened(data[:start] + changed)
    assert len(opened(data[:start] + first + second + rest)) == 3


def test_two_backups_of_one_state_share_no_key(home):
    assert sealed([b"x"])[-17:] != sealed([b"x"])[-17:]


# what happens when a database is put back by other means


def test_a_database_put_back_silently_is_noticed_by_the_anchor(home):
    home.back_up()  # stands for a copy of the file
    home.release(2)
    with home.engine.connect() as connection:
        newest = head(connection)
    anchor = Anchor(newest.sequence, newest.digest)
    with home.engine.connect() as connection:
        check_against_anchor(connection, anchor)
        check_against_anchor(connection, NO_ANCHOR)
    with writing(home.engine) as connection:  # the copy comes back
        connection.execute(sa.delete(db.audit_entries).where(db.audit_entries.c.sequence == newest.sequence))

    with pytest.raises(IntegrityError, match="was put back"), home.engine.connect() as connection:
        check_against_anchor(connection, anchor)


def test_a_fork_is_noticed_by_the_anchor(home):
    with home.engine.connect() as connection:
        anchor = Anchor(head(connection).sequence, "0x" + "ee" * 32)

        with pytest.raises(IntegrityError, match="is another"):
            check_against_anchor(connection, anchor)


def test_acknowledging_a_rollback_closes_earlier_deals_and_permits_just_that_anchor(home):
    anchor = Anchor(77, "0x" + "ee" * 32)
    wrapped = home.wrapped(VERSIONS[0])

    restored = acknowledge_rollback(home.target(), Chain(640, anchor, frozenset({VERSIONS[0]})))

    assert (restored.block, restored.erased) == (640, (VERSIONS[0],))
    assert wrapped is not None
    assert home.wrapped(VERSIONS[0]) is None
    with home.engine.connect() as connection:
        check_against_anchor(connection, anchor)
        assert restored_block(connection) == 640
        assert read_fact(connection, "paused")
        for other in (Anchor(77, "0x" + "ef" * 32), Anchor(78, "0x" + "ee" * 32)):
            with pytest.raises(IntegrityError):
                check_against_anchor(connection, other)


def test_a_restore_acknowledges_the_anchor_that_its_log_has_lost(home):
    home.back_up()
    home.release(2)
    with home.engine.connect() as connection:
        newest = head(connection)
    anchor = Anchor(newest.sequence, newest.digest)
    home.empty()

    restored = home.restore(Chain(anchor=anchor))

    assert (restored.kept, restored.lost_anchor) == (newest.sequence - 2, newest.sequence)  # the backup's own entry too
    with home.engine.connect() as connection:
        check_against_anchor(connection, anchor)
        entry, paused = list(entries(connection))[-2:]
    assert (entry.sequence, paused.sequence) == (newest.sequence + 1, newest.sequence + 2)
    assert entry.details["anchor_sequence"] == str(newest.sequence)
    assert entry.details["anchor_head"] == newest.digest


def test_a_restore_that_loses_no_anchored_entry_names_none(home):
    with home.engine.connect() as connection:
        newest = head(connection)
    home.back_up()
    home.release(2)

    restored = home.restore(Chain(anchor=Anchor(newest.sequence, newest.digest)), replace=True)

    assert (restored.kept, restored.lost_anchor) == (newest.sequence, 0)
    with home.engine.connect() as connection:
        entry = list(entries(connection))[-2]
    assert entry.sequence == newest.sequence + 1
    assert set(entry.details) == {"digest", "sequence", "block"}


def test_acknowledging_twice_names_the_lost_anchor_once(home):
    anchor = Anchor(77, "0x" + "ee" * 32)

    first = acknowledge_rollback(home.target(), Chain(640, anchor))
    second = acknowledge_rollback(home.target(), Chain(641, anchor))

    assert (first.lost_anchor, second.lost_anchor) == (77, 0)


def test_backups_from_before_a_rotation_need_the_key_of_their_time(home):
    home.back_up()
    new = SeedKek(b"\x02" * 32)
    rewrap_master_keys(home.engine, Vault(KEK), Vault(new), NOW)

    with pytest.raises(IntegrityError, match="wrapped by the key"):
        home.restore(replace=True, kek=new)
    home.restore(replace=True)
    assert Vault(KEK).unwrap(VERSIONS[1], home.wrapped(VERSIONS[1])) == b"\x01" * 32


def test_a_file_that_is_not_there_or_no_backup_is_refused(home):
    with pytest.raises(UsageError, match="can't be read"):
        home.restore()
    home.file.write_text("hello")
    with pytest.raises(HeartifyError, match="no backup"):
        home.restore()
