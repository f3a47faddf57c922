"""The courier: carries what is asked for, says a plain no to what can't be had, ends what no enclave of ours does."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.errors import EnclaveError, PolicyError, ServiceError, UnreachableError
from heartify.pool.courier import Courier
from heartify.pool.documents import locate_grants


class FakeTime:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def grants(make, hospitals):
    return locate_grants(make.registry(hospitals), make.deal())


@pytest.fixture
def serve(make, grants):
    """Serve one enclave that plays these frames; return the answers that it got and the courier's ending."""

    def run(*frames, grants=grants, clock=None, timeout=600.0, done=True, **more):
        answers, steps = [], []

        def script(_job):
            for frame in frames:
                answer = yield frame
                answers.append(answer)
            if done:
                yield {"op": "done", "word": "end"}, b"sealed"

        enclave = make.enclave(script)
        enclave.send_frame({"op": "job"})
        now = FakeTime()
        options = {"clock": clock or now.clock, "sleep": now.sleep, **more}
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


class Broker:
    """A broker's two routes, answering from a list; what it was sent is kept."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def __call__(self, url, document):
        self.asked.append((url.rsplit("/", 1)[1], document))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


CHALLENGE = {
    "session": "0" * 32,
    "deal": "0x" + "11" * 32,
    "nonce": "0x" + "22" * 32,
    "broker": "0x" + "33" * 20,
    "expires": 60,
    "signature": "0x44",
}
RELEASE = {
    "dataset_version": "0x" + "55" * 32,
    "sealed_keys": "0x66",
    "release_signature": "0x77",
    "key_receipt_signature": "0x88",
}
ASKED = {
    "session": "0" * 32,
    "deal": {},
    "plan": {},
    "dataset_version": "0x" + "55" * 32,
    "encryption_public_key": "0x99",
    "enclave": "0x" + "aa" * 20,
    "evidence": {"tee_kind": "simulated-sgx", "quote_hex": "bb", "collateral": "{}"},
}


@pytest.fixture
def broker(monkeypatch):
    def answer(*answers):
        found = Broker(list(answers))
        monkeypatch.setattr("heartify.pool.courier.post_json", found)
        return found

    return answer


def test_broker_that_comes_back_in_time_is_waited_for(serve, broker):
    found = broker(UnreachableError("away"), UnreachableError("away"), CHALLENGE)

    ((reply, _),), ending, *_ = serve(request(op="challenge", grant=0))

    assert reply["ok"] is True
    assert len(found.asked) == 3
    assert ending.refusals == {}


def test_broker_that_stays_away_is_given_up_within_its_patience(serve, broker):
    found = broker(*[UnreachableError("away")] * 50)

    ((reply, _),), ending, *_ = serve(request(op="challenge", grant=0))

    assert reply["ok"] is False
    assert 5 < len(found.asked) < 15
    assert ending.refusals == {0: "away"}


def test_pool_without_patience_asks_a_broker_that_is_away_once(serve, broker):
    found = broker(*[UnreachableError("away")] * 50)

    ((reply, _),), *_ = serve(request(op="challenge", grant=0), broker_patience_seconds=0)

    assert reply["ok"] is False
    assert len(found.asked) == 1


def test_release_that_was_lost_is_asked_for_again_with_a_new_challenge(serve, broker):
    later = {**CHALLENGE, "nonce": "0x" + "cc" * 32}
    broker(CHALLENGE, UnreachableError("killed"), later, RELEASE)
    challenge, release = request(op="challenge", grant=0), request(op="release", grant=0, request=ASKED)

    answers, ending, *_ = serve(challenge, release, challenge, release)

    assert [reply["ok"] for reply, _ in answers] == [True, False, True, True]
    (record,) = ending.releases
    assert (record.nonce, record.quote) == (later["nonce"], "0xbb")
    assert (ending.collateral, ending.refusals) == ("{}", {})


def test_broker_that_refused_is_not_asked_again(serve, broker):
    found = broker(CHALLENGE, ServiceError("refused: not approved"))
    challenge, release = request(op="challenge", grant=0), request(op="release", grant=0, request=ASKED)

    answers, ending, *_ = serve(challenge, release, challenge)

    assert [reply["ok"] for reply, _ in answers] == [True, False, False]
    assert len(found.asked) == 2
    assert "not approved" in ending.refusals[0]


def test_quote_of_hardware_gets_its_collateral_from_the_pools_source(make, grants):
    class Source:
        def collateral_for_quote(self, tee_kind, quote, *, certificates=""):
            return f"{tee_kind}/{quote.hex()}/{certificates}"

    def script(_job):
        answers.append((yield {"op": "collateral", "tee_kind": "tdx", "quote": "abcd", "certificates": "pem"}, b""))
        yield {"op": "done"}, b""

    answers = []
    enclave = make.enclave(script)
    enclave.send_frame({"op": "job"})
    Courier(enclave, make.deal().deal_id(make.domain), grants, print, collateral=Source()).serve(600)

    assert answers[0][0] == {"op": "collateral", "ok": True, "collateral": "tdx/abcd/pem"}


def test_pool_without_a_source_of_collateral_says_no(serve):
    ((reply, _),), *_ = serve(request(op="collateral", tee_kind="sgx", quote="00"))

    assert reply == {"op": "collateral", "ok": False}
