"""The courier: carries what is asked for, says a plain no to what can't be had, ends what no enclave of ours does."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.errors import EnclaveError, PolicyError, ServiceError
from heartify.pool.courier import Courier
from heartify.pool.documents import locate_grants


@pytest.fixture
def grants(make, hospitals):
    return locate_grants(make.registry(hospitals), make.deal())


@pytest.fixture
def serve(make, grants):
    """Serve one enclave that plays these frames; return the answers that it got and the courier's ending."""

    def run(*frames, grants=grants, clock=None, timeout=600.0, done=True):
        answers, steps = [], []

        def script(_job):
            for frame in frames:
                answer = yield frame
                answers.append(answer)
            if done:
                yield {"op": "done", "word": "end"}, b"sealed"

        enclave = make.enclave(script)
        enclave.send_frame({"op": "job"})
        options = {"clock": clock} if clock else {}
        courier = Courier(enclave, make.deal().deal_id(make.domain), grants, steps.append, **options)
        return answers, courier.serve(timeout), steps, enclave

    return run


def request(**header):
    return header, b""


def test_steps_are_reported_and_not_answered(serve):
    answers, ending, steps, _ = serve(request(op="step", name="one"), request(op="step", name="two"))

    assert (steps, answers) == (["one", "two"], [None, None])
    assert (ending.header["word"], ending.sealed_result) == ("end", b"sealed")


def test_file_is_carried_as_the_store_has_it(serve, grants):
    name = grants[0].documents.manifest.columns[0].object_name

    ((reply, body),), ending, *_ = serve(request(op="file", grant=0, file=name))

    assert reply == {"op": "file", "ok": True}
    assert len(body) == grants[0].documents.manifest.columns[0].size
    assert ending.refusals == {}


@pytest.mark.parametrize("file", ["00099.parquet", "../manifest.json", "/etc/passwd", "manifest.json", "", None, 7])
def test_file_that_the_manifest_does_not_list_is_a_plain_no(serve, file):
    ((reply, body),), ending, *_ = serve(request(op="file", grant=0, file=file))

    assert (reply, body) == ({"op": "file", "ok": False}, b"")
    assert "does not list" in ending.refusals[0]


@pytest.mark.parametrize("grant", [2, -1, True, 1.0, None, "1", [], {}])
@pytest.mark.parametrize("operation", ["challenge", "release", "file"])
def test_grant_that_the_deal_does_not_have_is_a_plain_no(serve, operation, grant):
    ((reply, body),), *_ = serve(request(op=operation, grant=grant, file="x", request={}))

    assert (reply, body) == ({"op": operation, "ok": False}, b"")


@pytest.mark.parametrize("header", [{}, {"report_data": None}, {"report_data": "zz"}, {"report_data": 7}])
def test_quote_over_no_bytes_is_a_plain_no(serve, header):
    ((reply, _),), *_ = serve(request(op="quote", **header))

    assert reply == {"op": "quote", "ok": False}


@pytest.mark.parametrize("operation", ["shell", "job", "", None, ["file"], 7])
def test_unknown_operation_ends_the_run(serve, operation):
    with pytest.raises(EnclaveError, match="unknown request"):
        serve(request(op=operation))


def test_frame_without_operation_ends_the_run(serve):
    with pytest.raises(EnclaveError, match="unknown request"):
        serve(({}, b""))


def test_broker_that_is_down_is_a_plain_no_with_the_reason_kept(serve, grants):
    down = (replace(grants[0], broker_url="http://127.0.0.1:9"), grants[1])

    ((first, _), (second, _)), ending, *_ = serve(
        request(op="challenge", grant=0), request(op="challenge", grant=1), grants=down
    )

    assert (first, second["ok"]) == ({"op": "challenge", "ok": False}, True)
    assert set(ending.refusals) == {0}
    assert "can't be reached" in ending.refusals[0]


def test_broker_without_an_address_is_a_plain_no_with_the_reason_kept(serve, grants):
    nowhere = (replace(grants[0], broker_url=""), grants[1])

    ((reply, _),), ending, *_ = serve(request(op="challenge", grant=0), grants=nowhere)

    assert reply["ok"] is False
    assert "no broker address" in ending.refusals[0]


def test_broker_that_answers_nonsense_is_a_plain_no(serve, grants):
    wrong = (replace(grants[0], broker_url=grants[0].broker_url + "/nowhere"), grants[1])

    ((reply, _),), ending, *_ = serve(request(op="challenge", grant=0), grants=wrong)

    assert reply["ok"] is False
    assert 0 in ending.refusals


def test_release_without_a_challenge_is_no_record(serve, make, hospitals):
    asked = {"deal": "0x" + "11" * 32, "version": hospitals[0].version, "enclave": "0x" + "22" * 20}

    ((reply, _),), ending, *_ = serve(request(op="release", grant=0, request=asked))

    assert (reply["ok"], ending.releases) == (False, ())


def test_enclave_that_dies_is_an_enclave_error(serve):
    with pytest.raises(EnclaveError, match="exit status"):
        serve(request(op="challenge", grant=0), done=False)


def test_time_is_for_the_whole_run_and_not_for_each_frame(serve):
    """An enclave that says something every 100 seconds must not run for ever."""
    times = itertools.count(0, 100)

    with pytest.raises(EnclaveError, match="longer than the 350 seconds"):
        serve(*[request(op="step", name="on and on")] * 50, clock=lambda: float(next(times)), timeout=350)


def test_each_wait_is_for_what_is_left_of_the_time(serve):
    times = iter([0.0, 10.0, 250.0])

    *_, enclave = serve(request(op="quote", report_data="0x00"), clock=lambda: next(times), timeout=600)

    assert enclave.timeouts == [590.0, 350.0]


def test_files_come_through_the_cache_the_second_time(make, hospitals, tmp_path):
    cache = VerifiedCache(tmp_path / "cache", 10_000_000)
    (first, *_) = locate_grants(make.registry(hospitals), make.deal(), None, cache)
    name = first.documents.manifest.columns[0].object_name

    fetched = first.get_file(name)
    again = replace(first, store=open_store("memory://nothing-is-here")).get_file(name)

    assert again == fetched
    assert (tmp_path / "cache" / "files" / name).read_bytes() == fetched


def test_a_folder_of_this_machine_that_the_chain_names_is_not_followed(make, hospitals, tmp_path):
    elsewhere = replace(hospitals[0], store_url=str(tmp_path)), *hospitals[1:]

    with pytest.raises(PolicyError, match="a folder of this machine"):
        locate_grants(make.registry(elsewhere), make.deal())
    with pytest.raises(ServiceError, match="cannot read"):
        locate_grants(make.registry(elsewhere), make.deal(), StoreAccess(local_folders=(tmp_path,)))
