"""The catalogue: what is listed hashes to what the chain names; one broken store hides no other."""

from __future__ import annotations

import itertools

import pytest

from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store, version_folder
from heartify.cohort.storage.store_access import StoreAccess
from heartify.errors import IntegrityError, PolicyError, ServiceError
from heartify.market.catalogue import build_catalogue, load_documents, load_policy_bytes, policy_file
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.plan import Purpose

NUMBERS = itertools.count()
DICTIONARY = DataDictionary(
    title="Small",
    description="",
    columns=(Column(name="age", title="Age", datatype="number", role="factor", unit="a"),),
)
POLICY = GrantPolicy(hospital="aspen", columns=("age",), purposes=(Purpose.HEALTH_RESEARCH,))
TABLE = parse_csv(b"age\n50\n60\n", DICTIONARY, file="x.csv")


def publish(case, *, granted: bool = True):
    """Write a version into its own memory store, register it, and grant it; return (store, version)."""
    url = f"memory://catalogue-{next(NUMBERS)}"
    store = open_store(url)
    version = write_version(TABLE, DICTIONARY, dataset="0x" + "53" * 32, previous=None, store=store).version_id
    case.registry.publish(version, url, case.owner)
    if granted:
        store.put(policy_file(version, POLICY.digest()), encode_canonical(POLICY))
        order = case.grant(datasetVersion=version, policyDigest=POLICY.digest(), nonce=len(case.registry.versions))
        case.market.post(order, case.owner_key)
    return store, version


def catalogue(case, requester: str | None = None):
    return build_catalogue(case.registry, case.book, case.now, requester)


def test_version_is_listed_with_documents_and_policy(case):
    _, version = publish(case)

    (entry,) = catalogue(case)

    assert (entry.version, entry.owner, entry.hospital) == (version, case.owner, "aspen")
    assert entry.documents.dictionary == DICTIONARY
    assert entry.documents.manifest.version_id() == version
    assert [grant.policy for grant in entry.grants] == [POLICY]
    assert entry.problem is None


def test_version_without_a_live_grant_is_listed_under_its_account(case):
    publish(case, granted=False)

    (entry,) = catalogue(case)

    assert (entry.grants, entry.hospital) == ((), case.owner)


def test_dead_version_is_not_listed(case):
    _, version = publish(case)
    case.registry.owners[version] = ZERO_ADDRESS

    assert catalogue(case) == ()


def test_grant_for_another_requester_is_not_shown(case):
    publish(case, granted=False)
    version = case.registry.versions[0].version
    case.market.post(case.grant(datasetVersion=version, requester="0x" + "71" * 20), case.owner_key)

    (entry,) = catalogue(case, "0x" + "72" * 20)

    assert entry.grants == ()


def remove_all(store, version):
    store.remove(version_folder(version))


def change_manifest(store, version):
    store.put(f"{version_folder(version)}/manifest.json", b"{}")


def change_dictionary(store, version):
    store.put(f"{version_folder(version)}/dictionary.json", b"{}")


def change_policy(store, version):
    more = GrantPolicy(hospital="aspen", columns=("age", "name"), purposes=(Purpose.HEALTH_RESEARCH,))
    store.put(policy_file(version, POLICY.digest()), encode_canonical(more))


def remove_policy(store, version):
    store.remove(policy_file(version, POLICY.digest()))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (remove_all, "cannot read"),
        (change_manifest, "not the manifest"),
        (change_dictionary, "not that of version"),
        (change_policy, "grant policy is not"),
        (remove_policy, "cannot read"),
    ],
)
def test_damaged_version_is_listed_with_its_problem_and_others_in_full(case, damage, problem):
    _, first = publish(case)
    store, damaged = publish(case)
    _, last = publish(case)
    damage(store, damaged)

    entries = catalogue(case)

    assert [entry.version for entry in entries] == [first, damaged, last]
    assert problem in entries[1].problem
    assert (entries[1].documents, entries[1].grants) == (None, ())
    assert all(entry.problem is None and len(entry.grants) == 1 for entry in (entries[0], entries[2]))


@pytest.mark.parametrize(
    "url", ["", "no-such-kind://x", "reference://x", "zip://x", "data:;base64,xx", "\x00", "file:///nonexistent/x"]
)
def test_address_that_makes_a_driver_stumble_hides_no_other_version(case, url):
    case.registry.publish("0x" + "77" * 32, url, "0x" + "78" * 20)
    _, good = publish(case)

    entries = catalogue(case)

    assert [entry.version for entry in entries] == ["0x" + "77" * 32, good]
    assert entries[0].problem
    assert entries[0].documents is None
    assert entries[1].problem is None


def test_documents_of_another_version_are_refused(case):
    store, first = publish(case)
    _, other = publish(case)
    store.put(
        f"{version_folder(other)}/manifest.json",
        store.get(f"{version_folder(first)}/manifest.json", max_bytes=10_000),
    )

    with pytest.raises(IntegrityError, match="not the manifest"):
        load_documents(store, other)


def test_policy_that_is_absent_is_a_service_error(case):
    store, version = publish(case)

    with pytest.raises(ServiceError, match="cannot read"):
        load_policy_bytes(store, version, "0x" + "99" * 32)


def test_a_folder_of_this_machine_is_read_only_where_that_is_allowed(case, tmp_path):
    """Anybody may register any address: a lab must not be led to its own files, or to its own network."""
    store = open_store(str(tmp_path / "store"))
    version = write_version(TABLE, DICTIONARY, dataset="0x" + "53" * 32, previous=None, store=store).version_id
    case.registry.publish(version, store.url, case.owner)

    (refused,) = catalogue(case)
    allowed_here = StoreAccess(local_folders=(tmp_path,))
    (allowed,) = build_catalogue(case.registry, case.book, case.now, None, allowed_here)

    assert refused.documents is None
    assert "a folder of this machine" in refused.problem
    assert allowed.documents.manifest.version_id() == version
    assert allowed.open_store().root == store.root
    with pytest.raises(PolicyError):
        refused.open_store()


def test_a_host_of_the_network_around_is_not_asked(case):
    case.registry.publish("0x" + "ab" * 32, "https://127.0.0.1:1/x", case.owner)

    (entry,) = catalogue(case)

    assert "not public" in entry.problem
