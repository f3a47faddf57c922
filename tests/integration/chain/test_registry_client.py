from __future__ import annotations

import hashlib
from typing import Any

import pytest

from heartify.chain.registry import RegistryClient, dataset_id
from heartify.errors import RevertError
from heartify.protocol.eip712 import ZERO_ADDRESS

BROKER = "0x" + "b0" * 20


def version_for(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def reader(world: Any) -> RegistryClient:
    return RegistryClient(world.connection, world.deployment)


def test_the_dataset_id_computed_here_is_the_contracts(world: Any, reader: RegistryClient) -> None:
    owner, salt = world.new_party(), b"\x07" * 32

    dataset, _ = owner.registry.register_dataset(salt, BROKER, "https://broker.example")

    assert dataset == dataset_id(owner.address, salt)
    assert reader.owner_of_dataset(dataset) == owner.address
    assert reader.broker_of(dataset) == BROKER


def test_a_dataset_is_registered_once(world: Any) -> None:
    owner = world.new_party()
    owner.registry.register_dataset(b"\x01" * 32, BROKER, "https://broker.example")

    with pytest.raises(RevertError, match="registry: dataset already registered"):
        owner.registry.register_dataset(b"\x01" * 32, BROKER, "https://broker.example")


def test_versions_are_listed_with_who_owns_them_now(world: Any, reader: RegistryClient) -> None:
    owner = world.new_party()
    dataset, _ = owner.registry.register_dataset(b"\x02" * 32, BROKER, "https://broker.example")
    live, withdrawn = version_for("live"), version_for("withdrawn")
    owner.registry.publish_version(dataset, live, "s3://bucket/live")
    owner.registry.publish_version(dataset, withdrawn, "s3://bucket/withdrawn")

    owner.registry.withdraw_version(withdrawn)

    found = reader.version_events(dataset=dataset)
    assert [(event.version, event.uri, event.owner) for event in found] == [
        (live, "s3://bucket/live", owner.address),
        (withdrawn, "s3://bucket/withdrawn", ZERO_ADDRESS),
    ]
    assert reader.dataset_of(live) == dataset
    assert len(reader.version_events()) >= 6
    with pytest.raises(RevertError, match="registry: version not paused"):
        owner.registry.resume_version(withdrawn)


def test_only_the_owner_publishes_and_a_version_has_one_dataset(world: Any) -> None:
    stranger, mine = world.new_party(), world.hospitals[0]

    with pytest.raises(RevertError, match="registry: not the owner"):
        stranger.registry.publish_version(mine.dataset, version_for("forged"), "file:///x")
    with pytest.raises(RevertError, match="registry: version already published"):
        mine.party.registry.publish_version(mine.dataset, mine.version, "file:///again")


def test_a_pause_takes_a_version_out_of_new_deals_until_it_is_resumed(world: Any, reader: RegistryClient) -> None:
    hospital = world.hospitals[0]
    registry = hospital.party.registry

    for pause, resume, target in (
        (registry.pause_version, registry.resume_version, hospital.version),
        (registry.pause_dataset, registry.resume_dataset, hospital.dataset),
    ):
        pause(target)
        assert not reader.is_version_live(hospital.version)
        assert reader.owners_of([hospital.version]) == (ZERO_ADDRESS,)
        with pytest.raises(RevertError, match="market: version not live"):
            world.match(world.sign_orders(1))
        resume(target)
        assert reader.is_version_live(hospital.version)
        assert reader.owners_of([hospital.version]) == (hospital.party.address,)


def test_owners_of_more_versions_than_one_call_takes(world: Any, reader: RegistryClient) -> None:
    hospital = world.hospitals[0]
    versions = [version_for(str(index)) for index in range(70)] + [hospital.version]

    owners = reader.owners_of(versions)

    assert owners == (ZERO_ADDRESS,) * 70 + (hospital.party.address,)
    assert reader.owners_of([]) == ()


def test_a_dataset_changes_hands_in_two_steps(world: Any, reader: RegistryClient) -> None:
    seller, buyer, stranger = world.new_party(), world.new_party(), world.new_party()
    dataset, _ = seller.registry.register_dataset(b"\x03" * 32, BROKER, "https://broker.example")

    seller.registry.transfer_dataset(dataset, buyer.address)

    assert reader.owner_of_dataset(dataset) == seller.address
    with pytest.raises(RevertError, match="registry: not offered to the caller"):
        stranger.registry.accept_dataset(dataset)
    buyer.registry.accept_dataset(dataset)
    assert reader.owner_of_dataset(dataset) == buyer.address


def test_the_newest_broker_endpoint_counts(world: Any, reader: RegistryClient) -> None:
    owner = world.new_party()
    dataset, _ = owner.registry.register_dataset(b"\x04" * 32, BROKER, "https://old.example")
    new_broker = "0x" + "b1" * 20

    owner.registry.set_broker(dataset, new_broker, "https://new.example")

    endpoints = reader.broker_endpoints(dataset=dataset)
    assert [(endpoint.broker, endpoint.uri) for endpoint in endpoints] == [(new_broker, "https://new.example")]
    assert reader.broker_of(dataset) == new_broker
    assert len(reader.broker_endpoints()) >= 5
    with pytest.raises(RevertError, match="registry: not the owner"):
        world.new_party().registry.set_broker(dataset, BROKER, "https://evil.example")


def test_a_pool_may_change_where_it_answers(world: Any, reader: RegistryClient) -> None:
    pool = world.new_party()
    assert not reader.is_pool(pool.address)

    pool.registry.register_pool("https://old.example")
    pool.registry.register_pool("https://new.example")

    assert reader.is_pool(pool.address)
    assert [endpoint.uri for endpoint in reader.pool_endpoints(pool=pool.address)] == ["https://new.example"]
    assert len(reader.pool_endpoints()) == 2


def test_a_release_is_its_authors_until_it_is_withdrawn(world: Any, reader: RegistryClient) -> None:
    author, release = world.new_party(), version_for("another release")

    author.registry.register_release(release, "https://app.example/2")
    assert reader.release_author(release) == author.address
    author.registry.pause_release(release)
    assert reader.release_author(release) == ZERO_ADDRESS
    author.registry.resume_release(release)
    assert reader.release_author(release) == author.address
    author.registry.withdraw_release(release)

    assert reader.release_author(release) == ZERO_ADDRESS
    registered = [event for event in reader.release_events() if event.release == release]
    assert [(event.author, event.uri) for event in registered] == [(author.address, "https://app.example/2")]
    with pytest.raises(RevertError, match="registry: release already registered"):
        world.new_party().registry.register_release(release, "https://evil.example")
