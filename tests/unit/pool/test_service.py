"""The pool's HTTP front: what it takes, what it refuses, and with which status."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from heartify.errors import ChainError, DocumentError, InputError, IntegrityError, PolicyError
from heartify.party.http_service import MAX_BODY_BYTES, RunningService
from heartify.pool.service import WorkOrderSubmission, accept_work_order, build_pool_service
from heartify.pool.work_orders import State
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_hex
from heartify.protocol.eip712 import bytes32

UNKNOWN = "0x" + "99" * 32


@pytest.fixture
def deal(make):
    return make.deal()


@pytest.fixture
def market(make, deal):
    return make.market(deal)


@pytest.fixture
def submission(make, deal):
    return WorkOrderSubmission(
        deal=deal.deal_id(make.domain), plan=to_hex(make.plan_bytes), result_key=to_hex(make.result_key)
    )


@pytest.fixture
def client(orders, market, make):
    with (
        RunningService(build_pool_service(orders, market, make.pool, "bubblewrap")) as service,
        httpx.Client(base_url=service.url, timeout=30, trust_env=False) as client,
    ):
        yield client


# ---- accept_work_order


def test_plan_of_a_deal_of_this_pool_is_queued(orders, market, make, submission):
    order = accept_work_order(orders, market, make.pool, submission)

    assert (order.state, order.deadline) == (State.QUEUED, make.deadline)
    assert orders.get(submission.deal).plan == make.plan_bytes
    assert orders.get(submission.deal).result_key == make.result_key


def test_plan_is_taken_for_a_deal_that_the_pool_knew_already(orders, market, make, submission):
    orders.add(submission.deal, make.deadline)

    assert accept_work_order(orders, market, make.pool, submission).state is State.QUEUED


@pytest.mark.parametrize("state", [State.RUNNING, State.SETTLED, State.CONCEDED])
def test_plan_sent_again_answers_with_the_state_and_changes_nothing(orders, market, make, submission, state):
    accept_work_order(orders, market, make.pool, submission)
    orders.move(submission.deal, state)

    assert accept_work_order(orders, market, make.pool, submission).state is state
    assert len(orders.all()) == 1


def test_unknown_deal_is_refused_and_not_kept(orders, market, make, submission):
    with pytest.raises(ChainError, match="not on the chain"):
        accept_work_order(orders, market, make.pool, msgspec.structs.replace(submission, deal=UNKNOWN))

    assert orders.all() == ()


def test_deal_of_another_pool_is_refused_and_not_kept(orders, market, submission):
    with pytest.raises(PolicyError, match="is for the pool"):
        accept_work_order(orders, market, "0x" + "55" * 20, submission)

    assert orders.all() == ()


@pytest.mark.parametrize("change", [b"", b"{}", b" "])
def test_another_plan_is_refused_and_not_kept(orders, market, make, submission, change):
    other = msgspec.structs.replace(submission, plan=to_hex(make.plan_bytes + change if change == b" " else change))

    with pytest.raises(InputError, match="plan or the result key"):
        accept_work_order(orders, market, make.pool, other)

    assert orders.all() == ()


def test_another_result_key_is_refused_and_not_kept(orders, market, make, submission):
    with pytest.raises(InputError, match="plan or the result key"):
        accept_work_order(orders, market, make.pool, msgspec.structs.replace(submission, result_key="0x00"))

    assert orders.all() == ()


def test_plan_that_the_deal_names_and_that_is_no_plan_is_refused(orders, make):
    broken = encode_canonical({"title": "x"})
    deal = make.deal(planDigest=bytes32(sha256_digest(broken)))
    submission = WorkOrderSubmission(
        deal=deal.deal_id(make.domain), plan=to_hex(broken), result_key=to_hex(make.result_key)
    )

    with pytest.raises(DocumentError):
        accept_work_order(orders, make.market(deal), make.pool, submission)

    assert orders.all() == ()


def test_key_that_the_deal_names_and_that_is_no_key_is_refused(orders, make):
    key = b"\xff" * 1216
    deal = make.deal(resultKeyDigest=bytes32(sha256_digest(key)))
    submission = WorkOrderSubmission(
        deal=deal.deal_id(make.domain), plan=to_hex(make.plan_bytes), result_key=to_hex(key)
    )

    with pytest.raises(IntegrityError, match="malformed"):
        accept_work_order(orders, make.market(deal), make.pool, submission)

    assert orders.all() == ()


# ---- over HTTP


def test_submission_is_answered_with_the_queued_order_and_shown_by_its_status(client, submission, orders):
    answer = client.post("/v1/work-orders", content=msgspec.json.encode(submission))

    assert answer.status_code == 200
    assert answer.json() == {"deal": submission.deal, "state": "queued", "step": "", "problem": ""}
    orders.note_step(submission.deal, "sealing the result")
    status = client.get(f"/v1/work-orders/{submission.deal}").json()
    assert (status["state"], status["step"]) == ("queued", "sealing the result")


MALFORMED = {
    "nothing": b"",
    "no JSON": b"not json",
    "a list": b"[]",
    "no fields": b"{}",
    "a deal that is no digest": b'{"deal":"7","plan":"0x","result_key":"0x"}',
    "a plan that is no hex": b'{"deal":"%s","plan":"plan","result_key":"0x"}' % UNKNOWN.encode(),
    "a field more": b'{"deal":"%s","plan":"0x","result_key":"0x","price":0}' % UNKNOWN.encode(),
    "nested too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_submission_is_400(client, orders, body):
    answer = client.post("/v1/work-orders", content=MALFORMED[body])

    assert answer.status_code == 400
    assert answer.json()["error"] == "DocumentError"
    assert orders.all() == ()


def test_submission_over_the_size_limit_is_400(client, orders):
    answer = client.post("/v1/work-orders", content=b"x" * (MAX_BODY_BYTES + 1))

    assert (answer.status_code, answer.json()["error"]) == (400, "InputError")
    assert "at most" in answer.json()["message"]
    assert orders.all() == ()


def test_refused_plan_is_400_and_unknown_deal_503(client, submission):
    wrong_plan = msgspec.structs.replace(submission, plan="0x00")
    unknown = msgspec.structs.replace(submission, deal=UNKNOWN)

    assert client.post("/v1/work-orders", content=msgspec.json.encode(wrong_plan)).status_code == 400
    assert client.post("/v1/work-orders", content=msgspec.json.encode(unknown)).status_code == 503


def test_deal_of_another_pool_is_403(orders, market, submission):
    app = build_pool_service(orders, market, "0x" + "55" * 20, "bubblewrap")

    with RunningService(app) as service:
        answer = httpx.post(f"{service.url}/v1/work-orders", content=msgspec.json.encode(submission), trust_env=False)

    assert (answer.status_code, answer.json()["error"]) == (403, "PolicyError")


def test_chain_that_is_away_is_503_and_says_so(client, market, submission, orders):
    market.away = True

    answer = client.post("/v1/work-orders", content=msgspec.json.encode(submission))

    assert (answer.status_code, answer.json()["error"]) == (503, "ChainError")
    assert orders.all() == ()


@pytest.mark.parametrize(
    "path", [f"/v1/work-orders/{UNKNOWN}", f"/v1/work-orders/{UNKNOWN}/bundle", "/v1/work-orders/7"]
)
def test_order_that_the_pool_does_not_have_is_refused_with_a_reason(client, path):
    answer = client.get(path)

    assert 400 <= answer.status_code < 500
    assert "no work order" in answer.json()["message"]


def test_bundle_is_refused_while_there_is_none_and_given_as_stored_when_there_is_one(client, orders, submission):
    client.post("/v1/work-orders", content=msgspec.json.encode(submission))
    early = client.get(f"/v1/work-orders/{submission.deal}/bundle")

    orders.move(submission.deal, State.SETTLING, bundle=b'{"format":"heartify.bundle/1"}')
    ready = client.get(f"/v1/work-orders/{submission.deal}/bundle")

    assert 400 <= early.status_code < 500
    assert "no result bundle yet; it is queued" in early.json()["message"]
    assert (ready.status_code, ready.content) == (200, b'{"format":"heartify.bundle/1"}')


def test_status_never_shows_plan_key_or_bundle(client, orders, submission):
    client.post("/v1/work-orders", content=msgspec.json.encode(submission))
    orders.move(submission.deal, State.SETTLED, bundle=b'{"sealed_result":"0x"}')

    assert set(client.get(f"/v1/work-orders/{submission.deal}").json()) == {"deal", "state", "step", "problem"}


def test_health_names_the_pool_and_what_surrounds_its_enclaves(client, make):
    assert client.get("/v1/health").json() == {"pool": make.pool, "status": "ok", "isolation": "bubblewrap"}
