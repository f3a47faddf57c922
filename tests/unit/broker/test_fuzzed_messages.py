"""Malformed messages of every kind: a refusal in words, never a failure inside, never a use, never a key."""

from __future__ import annotations

import copy
import logging
import socket
from urllib.parse import quote

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartify.broker.rate_limits import RateLimits
from heartify.broker.service import build_broker_service
from heartify.party.http_service import RunningService

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def client(world):
    service = build_broker_service(world.broker, RateLimits("1000000/minute", "1000000/minute"))
    with RunningService(service) as running, httpx.Client(base_url=running.url, trust_env=False, timeout=60) as found:
        yield found


@pytest.fixture
def valid(world, names):
    """A request that would succeed, as plain values, with its deal."""
    deal = world.open_deal()
    challenge = world.broker.challenge(deal.deal_id(names.domain))
    return deal, msgspec.to_builtins(world.request(challenge, deal))


def places(document, path=()):
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def put(document, path, value):
    changed = copy.deepcopy(document)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


@FUZZ
@given(data=st.data())
def test_release_request_with_any_one_part_replaced_is_refused_and_counts_nothing(world, client, valid, data):
    deal, document = valid
    path = data.draw(st.sampled_from(sorted(places(document), key=str)))
    value = data.draw(JSON)
    changed = put(document, path, value)
    if changed == document:
        return

    answer = client.post("/v1/releases", content=msgspec.json.encode(changed))

    assert answer.status_code in (400, 403), answer.text
    assert "Traceback" not in answer.text
    assert world.count(deal) == 0


@FUZZ
@given(body=st.binary(max_size=300) | JSON.map(msgspec.json.encode))
@pytest.mark.parametrize("path", ["/v1/challenges", "/v1/releases"])
def test_any_body_is_answered_with_a_refusal(client, path, body):
    answer = client.post(path, content=body)

    assert answer.status_code == 400
    assert answer.json()["error"] in {"DocumentError", "InputError"}


@FUZZ
@given(deal=st.text(min_size=1, max_size=80))
def test_any_deal_in_the_receipts_path_is_answered(client, deal):
    answer = client.get(f"/v1/receipts/{quote(deal, safe='')}")

    assert answer.status_code in (200, 400, 404)


@FUZZ
@given(garbage=st.binary(min_size=1, max_size=400))
def test_bytes_that_are_no_http_do_not_stop_the_service(world, client, garbage):
    host, port = str(client.base_url).removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(garbage)

    assert client.get("/v1/health").json()["broker"] == world.broker.address


def test_nothing_that_was_sent_is_in_the_log(client, valid, caplog):
    caplog.set_level(logging.DEBUG)
    _, document = valid
    client.post("/v1/releases", content=msgspec.json.encode(put(document, ("plan", "title"), "canary-19c4")))
    client.post("/v1/releases", content=b'{"canary-19c4": 1}')
    client.post("/v1/challenges", content=b'{"deal": "canary-19c4"}')

    assert not any("canary" in record.getMessage() for record in caplog.records if record.name.startswith("heartify"))
