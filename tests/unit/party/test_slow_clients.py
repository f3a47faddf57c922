"""Slow clients hold no connection: a head and a body have their time, and then the line is closed."""

from __future__ import annotations

import socket

import pytest
from fastapi import Request
from fastapi.responses import Response

from heartify.party import http_deadline, http_service
from heartify.party.http_service import RunningService, build_service, json_answer, read_body


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(http_deadline, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(http_service, "BODY_SECONDS", 0.3)
    app = build_service("echo")

    async def echo(request: Request) -> Response:
        return json_answer(len(await read_body(request)))

    app.add_route("/echo", echo, methods=["POST"])
    with RunningService(app) as running:
        yield running


def connect(service) -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(4096):
        received += part
    return received


HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
LAST = HEAD + b"connection: close\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST", HEAD], ids=["nothing", "a-word", "all-but-the-last-line"])
def test_client_that_does_not_finish_its_head_is_closed(service, sent):
    with connect(service) as connection:
        connection.sendall(sent)

        assert read_all(connection) == b""


def test_second_request_on_a_connection_has_the_same_deadline(service):
    with connect(service) as connection:
        connection.sendall(HEAD + b"\r\nabc")
        first = b""
        while not first.endswith(b"\r\n\r\n3"):
            first += connection.recv(4096)
        connection.sendall(b"POST /echo")

        assert first.startswith(b"HTTP/1.1 200")
        assert read_all(connection) == b""


def test_body_that_does_not_come_is_refused(service):
    with connect(service) as connection:
        connection.sendall(LAST + b"\r\na")

        assert b"within 0.3 seconds" in read_all(connection)


def test_client_in_time_is_answered_however_many_parts_it_sends(service):
    with connect(service) as connection:
        for part in (LAST[:20], LAST[20:] + b"\r", b"\na", b"b", b"c"):
            connection.sendall(part)

        assert read_all(connection).endswith(b"\r\n\r\n3")
