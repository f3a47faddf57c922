"""The broker's collateral cache does what the one in memory does, across processes, and replaces in one step."""

from __future__ import annotations

import threading

import pytest

from heartify.attestation.collateral_service.collateral_cache import KeptCollateral, MemoryCollateralCache
from heartify.broker.collateral_cache import BrokerCollateralCache
from heartify.broker.database import open_database
from heartify.errors import AttestationError


@pytest.fixture(params=["memory", "sqlite"])
def cache(request, tmp_path):
    if request.param == "memory":
        yield MemoryCollateralCache()
        return
    engine = open_database(f"sqlite:///{tmp_path / 'broker.sqlite'}")
    yield BrokerCollateralCache(engine)
    engine.dispose()


def anything(_kept):
    pass


def test_an_empty_cache_has_nothing(cache):
    assert cache.kept("a") is None
    assert cache.all_kept() == ()


def test_what_is_kept_is_found_by_its_name(cache):
    entries = [KeptCollateral("b", "B", 2), KeptCollateral("a", "A", 1)]
    for entry in entries:
        cache.replace(entry, anything)

    assert cache.kept("a") == entries[1]
    assert cache.all_kept() == (entries[1], entries[0])


def test_the_check_sees_what_is_kept_and_may_refuse(cache):
    first, seen = KeptCollateral("a", "first", 1), []
    cache.replace(first, seen.append)

    def refuse(kept):
        seen.append(kept)
        raise AttestationError("older")

    with pytest.raises(AttestationError, match="older"):
        cache.replace(KeptCollateral("a", "second", 2), refuse)

    assert seen == [None, first]
    assert cache.kept("a") == first


def test_two_processes_on_one_database_take_turns(tmp_path):
    engines = [open_database(f"sqlite:///{tmp_path / 'broker.sqlite'}") for _ in range(2)]
    inside, leave, order = threading.Event(), threading.Event(), []

    def slow(_kept):
        inside.set()
        leave.wait(10)
        order.append("first")

    def then(kept):
        order.append(kept.content)

    first, second = (BrokerCollateralCache(engine) for engine in engines)
    threads = [threading.Thread(target=first.replace, args=(KeptCollateral("a", "new", 1), slow))]
    threads[0].start()
    assert inside.wait(10)
    threads.append(threading.Thread(target=second.replace, args=(KeptCollateral("a", "newer", 2), then)))
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(10)
    for engine in engines:
        engine.dispose()

    assert order == ["first", "new"]


def test_a_long_need_fits_its_column(cache):
    name = f"sev-snp/Milan/vcek/{'f' * 128}/255-255-255-255-255"
    cache.replace(KeptCollateral(name, "x", 1), anything)

    assert len(name) < 255
    assert cache.kept(name).content == "x"
