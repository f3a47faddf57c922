"""A dry run: the enclave's whole program on public twins, the schema of a real result, the rules' verdict, no trace."""

from __future__ import annotations

import dataclasses

import fsspec
import msgspec
import pytest

from heartify.errors import InputError, IntegrityError, PolicyError
from heartify.lab.dry_run.dry_run import dry_run
from heartify.lab.dry_run.rehearsal import REHEARSAL_DOMAIN, build_rehearsal
from heartify.lab.dry_run.twins import choose_twins
from heartify.market.catalogue import OfferedGrant
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.plan import FactorSpec, OutcomeSpec
from heartify.protocol.result import StudyResult
from tests.unit.lab.dry_run.conftest import HOSPITALS, entry_of, write

AGE = (FactorSpec(name="age", column="age"),)


@pytest.fixture(scope="module")
def done(market):
    steps: list[str] = []
    run = dry_run(market.plan, market.entries, report=steps.append)
    return run, steps


def test_result_has_the_schema_of_a_real_one_with_the_plan_s_factors(done, market):
    run, _ = done

    assert run.verdict == "delivered"
    assert isinstance(run.result, StudyResult)
    assert {weight.factor for weight in run.result.weights} == {factor.name for factor in market.plan.factors}
    assert len(run.result.hospitals) == len(run.hospitals) == len(HOSPITALS)


def test_whole_program_runs_step_by_step(done):
    _, steps = done

    assert steps == [
        "checking the documents",
        "asking the hospitals' brokers for keys",
        "reading and decrypting the columns",
        "fitting and checking the disclosure rules",
        "sealing the result",
    ]


def test_everything_about_it_says_that_it_is_no_real_result(done):
    run, _ = done

    assert run.synthetic
    assert run.result.simulated
    assert REHEARSAL_DOMAIN.contract == ZERO_ADDRESS


def test_strong_factors_keep_their_direction(done):
    run, _ = done

    weights = {weight.factor: weight.beta for weight in run.result.weights}
    assert weights["age"] > 0


def test_nothing_of_the_stage_is_left(done):
    memory = fsspec.filesystem("memory")

    assert [path for path in memory.ls("/", detail=False) if "dry-run-" in path and "market" not in path] == []


@pytest.mark.parametrize(("rows", "words"), [(15, "about 15 patients"), (0, "fewer than 10 patients")])
def test_twin_with_many_more_rows_than_patients_is_said(market, done, rows, words):
    entry = market.entries[0]
    manifest = entry.documents.manifest
    files = tuple(msgspec.structs.replace(file, padded_rows=512) for file in manifest.columns)
    small = msgspec.structs.replace(manifest, rows_rounded=rows, columns=files)
    documents = dataclasses.replace(entry.documents, manifest=small)

    run = dry_run(market.plan, [dataclasses.replace(entry, documents=documents)])

    (caveat,) = run.caveats
    assert words in caveat
    assert "its twin has 900" in caveat
    assert done[0].caveats == ()


def test_plan_that_asks_for_too_rare_an_outcome_is_withheld(market):
    rare = msgspec.structs.replace(market.plan, outcome=OutcomeSpec(column="hba1c", above=11.5), factors=AGE)

    run = dry_run(rare, market.entries)

    assert run.result is None
    assert run.verdict.startswith("withheld")


def test_plan_with_an_unknown_column_fits_no_dataset(market):
    unknown = msgspec.structs.replace(market.plan, factors=(FactorSpec(name="x", column="nowhere"),))

    with pytest.raises(InputError, match="no dataset fits the plan"):
        dry_run(unknown, market.entries)


def test_version_without_a_twin_is_passed_over_and_said(market):
    store = market.stores[1]
    bare = entry_of(write("birch", store, with_twin=False), store, 9)

    cast = choose_twins(market.plan, (market.entries[0], bare))

    assert len(cast.hospitals) == 1
    assert "without a synthetic twin" in cast.left_out[0].reason


def test_named_version_without_a_twin_is_refused(market):
    store = market.stores[1]
    bare = entry_of(write("birch", store, with_twin=False), store, 9)

    with pytest.raises(InputError, match="without a synthetic twin"):
        choose_twins(market.plan, (market.entries[0], bare), [bare.version])


def test_version_that_is_not_on_the_market_is_refused(market):
    with pytest.raises(InputError, match="no live version"):
        choose_twins(market.plan, market.entries, ["0x" + "99" * 32])


def test_twin_that_the_store_changed_is_refused(market):
    entry = market.entries[0]
    name = f"{entry.version[2:]}/synthetic-twin.csv"
    honest = market.stores[0].get(name, max_bytes=1 << 24)
    market.stores[0].put(name, honest[:-2] + b"9\n")

    try:
        with pytest.raises(IntegrityError, match="document-digest"):
            choose_twins(market.plan, market.entries, [entry.version])
    finally:
        market.stores[0].put(name, honest)


def test_grants_that_forbid_the_plan_forbid_the_dry_run_too(market):
    policy = GrantPolicy(hospital="aspen", columns=("age",), purposes=(market.plan.purpose,))
    entry = dataclasses.replace(market.entries[0], grants=(OfferedGrant(live=None, policy=policy),))

    with pytest.raises(PolicyError, match="does not cover"):
        choose_twins(market.plan, (entry,), [entry.version])


def test_stage_has_fresh_keys_each_time(market):
    cast = choose_twins(market.plan, market.entries[:1])

    one, two = build_rehearsal(market.plan, cast.hospitals), build_rehearsal(market.plan, cast.hospitals)

    assert one.hospitals[0].keys != two.hospitals[0].keys
    assert one.result_key.public_key != two.result_key.public_key
