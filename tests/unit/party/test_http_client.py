"""Calls to a service that may be down, hostile or broken: each ending is a ServiceError with the reason."""

from __future__ import annotations

import http.server
import threading
import time

import pytest

from heartify.errors import ServiceError
from heartify.party import http_client
from heartify.party.http_client import get_json, post_json


class Answering(http.server.ThreadingHTTPServer):
    """A service that answers every request with what the test put into `answer`."""

    daemon_threads = True
    status = 200
    body = b"{}"
    pause_seconds = 0.0
    encoding = ""

    def handle_error(self, request, client_address):
        """The client hung up, which is what some of these tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.body)))
        if self.server.encoding:
            self.send_header("content-encoding", self.server.encoding)
        if self.server.status == 302:
            self.send_header("location", "/elsewhere")
        self.end_headers()
        for start in range(0, len(self.server.body), 65536 if not self.server.pause_seconds else 1):
            time.sleep(self.server.pause_seconds)
            self.wfile.write(self.server.body[start : start + (65536 if not self.server.pause_seconds else 1)])

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def service():
    server = Answering(("127.0.0.1", 0), Handler)
    server.seen = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_answer_is_decoded(service):
    service.body = b'{"state": "done", "n": [1, 2]}'

    assert get_json(f"{service.url}/v1/x") == {"state": "done", "n": [1, 2]}
    assert post_json(f"{service.url}/v1/x", {"a": 1}) == {"state": "done", "n": [1, 2]}
    assert [seen[0] for seen in service.seen] == ["GET", "POST"]


def test_service_that_is_down_is_named(service):
    url = service.url
    service.shutdown()
    service.server_close()

    with pytest.raises(ServiceError, match="can't be reached") as refused:
        get_json(f"{url}/v1/health", timeout_seconds=2)
    assert "running" in str(refused.value.hint)


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://[", "ftp://127.0.0.1/x", "http://127.0.0.1:99999/"])
def test_address_that_is_nonsense_is_a_service_error(url):
    with pytest.raises(ServiceError):
        get_json(url, timeout_seconds=2)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{", b"[" * 500_000])
def test_answer_that_is_no_json_is_refused(service, body):
    service.body = body

    with pytest.raises(ServiceError, match="did not answer with JSON"):
        get_json(service.url)


def test_refusal_carries_the_services_own_words(service):
    service.status = 403
    service.body = b'{"error": "PolicyError", "message": "the deal is open", "hint": "wait", "exit_code": 6}'

    with pytest.raises(ServiceError, match="refused: the deal is open") as refused:
        get_json(service.url)
    assert refused.value.hint == "wait"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"message": {"a": 1}, "hint": 3}', b'"no"'])
def test_refusal_without_words_says_so(service, body):
    service.status = 500
    service.body = body

    with pytest.raises(ServiceError, match="no reason given") as refused:
        get_json(service.url)
    assert refused.value.hint is None


def test_words_of_a_service_cannot_steer_a_terminal(service):
    service.status = 403
    service.body = b'{"message": "\\u001b[2Jall is well\\nheartify: verified", "hint": "' + b"x" * 5000 + b'"}'

    with pytest.raises(ServiceError) as refused:
        get_json(service.url)
    assert "\x1b" not in refused.value.message
    assert "\n" not in refused.value.message
    assert len(str(refused.value.hint)) == 500


def test_answer_over_the_limit_is_refused(service, monkeypatch):
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 100_000)
    service.body = b'"' + b"a" * 4_000_000 + b'"'

    with pytest.raises(ServiceError, match="over 100000 bytes"):
        get_json(service.url)


def test_answer_that_drips_is_given_up_in_time(service):
    service.body = b'"' + b"a" * 1000 + b'"'
    service.pause_seconds = 0.05
    started = time.monotonic()

    with pytest.raises(ServiceError, match="in time"):
        get_json(service.url, timeout_seconds=0.4)
    assert time.monotonic() - started < 5


def test_compressed_answer_is_neither_asked_for_nor_unpacked(service):
    service.body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    service.encoding = "gzip"

    with pytest.raises(ServiceError, match="did not answer with JSON"):
        get_json(service.url)
    assert service.seen[0][2]["accept-encoding"] == "identity"


def test_redirect_is_not_followed(service):
    service.status = 302

    with pytest.raises(ServiceError, match="refused"):
        get_json(service.url)
    assert len(service.seen) == 1
