"""Equal inputs give equal results, byte by byte: in other processes, with other hash seeds and with more threads."""

from __future__ import annotations

import pytest

from heartify.protocol.result import encode_result, parse_result, result_info


def result_of(world, run):
    """The bytes that were sealed: the seal itself is random, as it must be."""
    return encode_result(parse_result(world.lab_key.open(run.sealed, result_info(world.deal_id))))


@pytest.fixture(scope="module")
def repeated(worlds, run_image):
    """The same deals once more, in processes that may use four threads in each library."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "4")
    return {name: run_image(world, environment=threads) for name, world in worlds.items()}


def test_results_of_every_analysis_are_equal_byte_by_byte(worlds, finished, repeated):
    different = [
        name for name, world in worlds.items() if result_of(world, finished[name]) != result_of(world, repeated[name])
    ]

    assert different == []


def test_processes_did_differ_in_hash_seed_and_keys(finished, repeated):
    """So that equality above means something: hashes are randomised inside, and every run has its own keys."""
    runs = [*finished.values(), *repeated.values()]

    assert len({run.report["hash"] for run in runs}) == len(runs)
    assert len({run.done["enclave"] for run in runs}) == len(runs)
    assert len({run.sealed for run in runs}) == len(runs)


def test_threads_were_there_to_be_used(finished, repeated):
    assert {run.report["threads"] for run in finished.values()} == {"1"}
    assert {run.report["threads"] for run in repeated.values()} == {"4"}
