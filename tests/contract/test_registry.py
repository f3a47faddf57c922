"""The registry: first come, owners only, and what counts as live."""

from __future__ import annotations

import pytest
from eth_abi import encode
from eth_utils import keccak

VERSION = keccak(text="another manifest")
RELEASE = keccak(text="another release")


@pytest.fixture
def hospital(world):
    return world.hospitals[0]


@pytest.fixture
def owned(world, hospital):
    """Call the registry as the hospital."""

    def call(function: str, *arguments):
        return getattr(world.registry, function)(*arguments, sender=hospital.owner.address)

    return call


def _events(world, name):
    return world.events(name, world.registry)


# datasets


def test_a_datasets_id_is_the_hash_of_owner_and_salt(world):
    salt = b"\3" * 32

    dataset = world.registry.registerDataset(salt, world.pool.address, "https://a", sender=world.lab.address)

    assert _events(world, "DatasetRegistered") == [
        {"dataset": dataset, "owner": world.lab.address, "broker": world.pool.address, "uri": "https://a"}
    ]
    assert dataset == keccak(encode(["address", "bytes32"], [world.lab.address, salt]))
    assert world.registry.ownerOfDataset(dataset) == world.lab.address
    assert world.registry.brokerOf(dataset) == world.pool.address


def test_a_salt_is_taken_once_by_each_owner(world):
    salt = b"\3" * 32
    first = world.registry.registerDataset(salt, world.pool.address, "", sender=world.lab.address)
    second = world.registry.registerDataset(salt, world.pool.address, "", sender=world.author.address)

    assert first != second
    with world.refused("registry: dataset already registered", world.registry):
        world.registry.registerDataset(salt, world.pool.address, "", sender=world.lab.address)


def test_an_unknown_dataset_belongs_to_nobody(world):
    assert world.registry.ownerOfDataset(b"\1" * 32) == world.zero
    assert world.registry.brokerOf(b"\1" * 32) == world.zero


def test_the_owner_names_another_broker(world, hospital, owned):
    owned("setBroker", hospital.dataset, world.pool.address, "https://b")

    assert _events(world, "BrokerChanged") == [
        {"dataset": hospital.dataset, "broker": world.pool.address, "uri": "https://b"}
    ]
    assert world.registry.brokerOf(hospital.dataset) == world.pool.address


def test_a_dataset_needs_a_broker(world, hospital, owned):
    with world.refused("registry: broker is zero", world.registry):
        world.registry.registerDataset(b"\3" * 32, world.zero, "", sender=world.lab.address)
    with world.refused("registry: broker is zero", world.registry):
        owned("setBroker", hospital.dataset, world.zero, "")


def test_a_paused_dataset_has_no_live_version_until_it_is_resumed(world, hospital, owned):
    owned("pauseDataset", hospital.dataset)
    assert _events(world, "DatasetPaused") == [{"dataset": hospital.dataset}]
    assert not world.registry.isVersionLive(hospital.version)
    assert world.registry.ownersOf([hospital.version]) == [world.zero]
    assert world.registry.ownerOfDataset(hospital.dataset) == hospital.owner.address

    owned("resumeDataset", hospital.dataset)
    assert _events(world, "DatasetResumed") == [{"dataset": hospital.dataset}]
    assert world.registry.ownersOf([hospital.version]) == [hospital.owner.address]


def test_a_dataset_is_paused_and_resumed_once(world, hospital, owned):
    with world.refused("registry: dataset not paused", world.registry):
        owned("resumeDataset", hospital.dataset)
    owned("pauseDataset", hospital.dataset)
    with world.refused("registry: dataset already paused", world.registry):
        owned("pauseDataset", hospital.dataset)


def test_a_dataset_changes_hands_in_two_steps(world, hospital, owned):
    owned("transferDataset", hospital.dataset, world.lab.address)
    assert _events(world, "DatasetOffered") == [{"dataset": hospital.dataset, "newOwner": world.lab.address}]
    assert world.registry.ownerOfDataset(hospital.dataset) == hospital.owner.address

    world.registry.acceptDataset(hospital.dataset, sender=world.lab.address)
    assert _events(world, "DatasetTransferred") == [
        {"dataset": hospital.dataset, "previousOwner": hospital.owner.address, "newOwner": world.lab.address}
    ]
    assert world.registry.ownersOf([hospital.version]) == [world.lab.address]
    with world.refused("registry: not the owner", world.registry):
        owned("pauseVersion", hospital.version)


def test_a_paused_dataset_stays_paused_when_it_changes_hands(world, hospital, owned):
    owned("pauseDataset", hospital.dataset)
    owned("transferDataset", hospital.dataset, world.lab.address)

    world.registry.acceptDataset(hospital.dataset, sender=world.lab.address)

    assert world.registry.ownersOf([hospital.version]) == [world.zero]
    assert world.registry.ownerOfDataset(hospital.dataset) == world.lab.address


def test_only_whom_it_was_offered_to_accepts_a_dataset_and_only_once(world, hospital, owned):
    owned("transferDataset", hospital.dataset, world.lab.address)
    with world.refused("registry: not offered to the caller", world.registry):
        world.registry.acceptDataset(hospital.dataset, sender=world.pool.address)

    world.registry.acceptDataset(hospital.dataset, sender=world.lab.address)

    with world.refused("registry: not offered to the caller", world.registry):
        world.registry.acceptDataset(hospital.dataset, sender=world.lab.address)


def test_an_offer_can_be_taken_back(world, hospital, owned):
    owned("transferDataset", hospital.dataset, world.lab.address)
    owned("transferDataset", hospital.dataset, world.zero)

    with world.refused("registry: not offered to the caller", world.registry):
        world.registry.acceptDataset(hospital.dataset, sender=world.lab.address)


def test_nobody_accepts_a_dataset_that_there_is_not(world):
    with world.refused("registry: not offered to the caller", world.registry):
        world.registry.acceptDataset(b"\1" * 32, sender=world.lab.address)


@pytest.mark.parametrize("caller", ["lab", "a hospital of another dataset"])
@pytest.mark.parametrize("target", ["a dataset", "no dataset"])
@pytest.mark.parametrize(
    "function", ["setBroker", "pauseDataset", "resumeDataset", "transferDataset", "publishVersion"]
)
def test_only_the_owner_changes_a_dataset(world, hospital, function, target, caller):
    dataset = hospital.dataset if target == "a dataset" else b"\1" * 32
    account = world.lab if caller == "lab" else world.hospitals[1].owner
    arguments = {
        "setBroker": [world.lab.address, ""],
        "transferDataset": [account.address],
        "publishVersion": [VERSION, ""],
    }.get(function, [])

    with world.refused("registry: not the owner", world.registry):
        getattr(world.registry, function)(dataset, *arguments, sender=account.address)


# versions


def test_a_published_version_is_live_and_its_owners(world, hospital, owned):
    owned("publishVersion", hospital.dataset, VERSION, "s3://bucket/path")

    assert _events(world, "VersionPublished") == [
        {"dataset": hospital.dataset, "version": VERSION, "uri": "s3://bucket/path"}
    ]
    assert world.registry.isVersionLive(VERSION)
    assert world.registry.datasetOf(VERSION) == hospital.dataset
    assert world.registry.ownersOf([VERSION]) == [hospital.owner.address]


def test_a_version_is_published_once_whoever_comes_second(world, hospital, owned):
    other = world.hospitals[1]
    owned("publishVersion", hospital.dataset, VERSION, "")

    with world.refused("registry: version already published", world.registry):
        owned("publishVersion", hospital.dataset, VERSION, "")
    with world.refused("registry: version already published", world.registry):
        world.registry.publishVersion(other.dataset, VERSION, "", sender=other.owner.address)

    assert world.registry.datasetOf(VERSION) == hospital.dataset


def test_owners_are_named_in_order_and_zero_where_not_live(world, owned):
    first, second, third, fourth = world.hospitals
    owned("pauseVersion", first.version)
    world.registry.withdrawVersion(second.version, sender=second.owner.address)
    world.registry.pauseDataset(third.dataset, sender=third.owner.address)

    versions = [fourth.version, first.version, second.version, third.version, VERSION, fourth.version]
    owners = world.registry.ownersOf(versions)

    assert owners == [fourth.owner.address, *[world.zero] * 4, fourth.owner.address]
    assert [world.registry.isVersionLive(version) for version in versions] == [True, *[False] * 4, True]


def test_sixty_four_owners_can_be_asked_for_at_once(world, hospital):
    assert world.registry.ownersOf([hospital.version] * 64) == [hospital.owner.address] * 64
    assert world.registry.ownersOf([]) == []


def test_an_unknown_version_has_no_dataset(world):
    assert world.registry.datasetOf(VERSION) == bytes(32)
    assert not world.registry.isVersionLive(VERSION)


def test_a_paused_version_can_be_resumed(world, hospital, owned):
    owned("pauseVersion", hospital.version)
    assert _events(world, "VersionPaused") == [{"version": hospital.version}]
    assert not world.registry.isVersionLive(hospital.version)
    assert world.registry.datasetOf(hospital.version) == hospital.dataset

    owned("resumeVersion", hospital.version)
    assert _events(world, "VersionResumed") == [{"version": hospital.version}]
    assert world.registry.isVersionLive(hospital.version)


@pytest.mark.parametrize("paused_before", [False, True])
def test_a_withdrawn_version_never_comes_back(world, hospital, owned, paused_before):
    if paused_before:
        owned("pauseVersion", hospital.version)

    owned("withdrawVersion", hospital.version)

    assert _events(world, "VersionWithdrawn") == [{"version": hospital.version}]
    assert world.registry.ownersOf([hospital.version]) == [world.zero]
    for function, reason in (
        ("pauseVersion", "registry: version not live"),
        ("resumeVersion", "registry: version not paused"),
        ("withdrawVersion", "registry: version already withdrawn"),
    ):
        with world.refused(reason, world.registry):
            owned(function, hospital.version)
    with world.refused("registry: version already published", world.registry):
        owned("publishVersion", hospital.dataset, hospital.version, "")


def test_a_live_version_is_not_resumed_and_a_paused_one_not_paused(world, hospital, owned):
    with world.refused("registry: version not paused", world.registry):
        owned("resumeVersion", hospital.version)
    owned("pauseVersion", hospital.version)
    with world.refused("registry: version not live", world.registry):
        owned("pauseVersion", hospital.version)


@pytest.mark.parametrize("function", ["pauseVersion", "resumeVersion", "withdrawVersion"])
@pytest.mark.parametrize("target", ["a version", "no version"])
def test_only_the_owner_changes_a_version(world, hospital, function, target):
    version = hospital.version if target == "a version" else VERSION

    with world.refused("registry: not the owner", world.registry):
        getattr(world.registry, function)(version, sender=world.lab.address)


# app releases and pools


def test_a_release_is_its_authors_who_came_first(world):
    world.registry.registerRelease(RELEASE, "https://r", sender=world.author.address)

    assert _events(world, "ReleaseRegistered") == [
        {"release": RELEASE, "author": world.author.address, "uri": "https://r"}
    ]
    assert world.registry.releaseAuthor(RELEASE) == world.author.address
    with world.refused("registry: release already registered", world.registry):
        world.registry.registerRelease(RELEASE, "", sender=world.lab.address)


def test_an_unknown_release_has_no_author(world):
    assert world.registry.releaseAuthor(RELEASE) == world.zero


def test_a_paused_release_can_be_resumed(world):
    world.registry.pauseRelease(world.release, sender=world.author.address)
    assert _events(world, "ReleasePaused") == [{"release": world.release}]
    assert world.registry.releaseAuthor(world.release) == world.zero

    world.registry.resumeRelease(world.release, sender=world.author.address)
    assert _events(world, "ReleaseResumed") == [{"release": world.release}]
    assert world.registry.releaseAuthor(world.release) == world.author.address


def test_a_withdrawn_release_never_comes_back(world):
    world.registry.withdrawRelease(world.release, sender=world.author.address)

    assert _events(world, "ReleaseWithdrawn") == [{"release": world.release}]
    assert world.registry.releaseAuthor(world.release) == world.zero
    for function, reason in (
        ("pauseRelease", "registry: release not live"),
        ("resumeRelease", "registry: release not paused"),
        ("withdrawRelease", "registry: release already withdrawn"),
    ):
        with world.refused(reason, world.registry):
            getattr(world.registry, function)(world.release, sender=world.author.address)
    with world.refused("registry: release already registered", world.registry):
        world.registry.registerRelease(world.release, "", sender=world.author.address)


def test_a_live_release_is_not_resumed_and_a_paused_one_not_paused(world):
    with world.refused("registry: release not paused", world.registry):
        world.registry.resumeRelease(world.release, sender=world.author.address)
    world.registry.pauseRelease(world.release, sender=world.author.address)
    with world.refused("registry: release not live", world.registry):
        world.registry.pauseRelease(world.release, sender=world.author.address)


@pytest.mark.parametrize("function", ["pauseRelease", "resumeRelease", "withdrawRelease"])
@pytest.mark.parametrize("target", ["a release", "no release"])
def test_only_the_author_changes_a_release(world, function, target):
    release = world.release if target == "a release" else RELEASE

    with world.refused("registry: not the author", world.registry):
        getattr(world.registry, function)(release, sender=world.lab.address)


def test_a_pool_registers_and_moves(world):
    assert not world.registry.isPool(world.pool.address)

    for uri in ("https://one", "https://two"):
        world.registry.registerPool(uri, sender=world.pool.address)
        assert _events(world, "PoolRegistered") == [{"pool": world.pool.address, "uri": uri}]

    assert world.registry.isPool(world.pool.address)
    assert not world.registry.isPool(world.lab.address)
