"""A failure that may pass is tried again, boundedly; every other is told at once and in our own words."""

from __future__ import annotations

import errno

import httpx
import pytest

from heartify.cohort.storage.failures import AnswerError, Pace, Patience, as_service_error, is_transient
from heartify.errors import IntegrityError, ServiceError


class S3AnswerError(OSError):
    """What the S3 driver raises: the server's answer is the cause."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(errno.EINVAL, "AKIA-secret in the server's words")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    "error",
    [
        AnswerError(500),
        AnswerError(503),
        AnswerError(429),
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.EHOSTUNREACH, "x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
        S3AnswerError(502, "502"),
        S3AnswerError(400, "BadDigest"),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    waits: list[float] = []
    failures = [error, error]

    def attempt() -> str:
        if failures:
            raise failures.pop()
        return "done"

    found = Patience(sleep=waits.append, chance=lambda: 0.5).run(attempt)

    assert found == "done"
    assert waits == [0.25, 0.5]


@pytest.mark.parametrize(
    "error",
    [
        AnswerError(404),
        AnswerError(403),
        AnswerError(501),
        FileNotFoundError(),
        PermissionError(),
        IntegrityError("x"),
        OSError(errno.ENOSPC, "x"),
        httpx.UnsupportedProtocol("x"),
        S3AnswerError(403, "SignatureDoesNotMatch"),
        ValueError(),
    ],
    ids=repr,
)
def test_what_will_not_pass_is_told_at_once(error: Exception) -> None:
    calls: list[int] = []

    def attempt() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        Patience(sleep=lambda _: None).run(attempt)

    assert len(calls) == 1


def test_attempts_are_bounded_and_waits_too() -> None:
    waits: list[float] = []

    def attempt() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Patience(attempts=5, longest_wait_seconds=3, sleep=waits.append, chance=lambda: 1.0).run(attempt)

    assert waits == [0.5, 1.0, 2.0, 3.0]


def test_the_wait_is_spread_by_chance() -> None:
    waits: list[float] = []
    patience = Patience(sleep=waits.append)

    for _ in range(50):
        patience.wait(3)

    assert len(set(waits)) > 40
    assert all(0 <= wait < 2 for wait in waits)


def test_a_message_never_repeats_what_a_server_said() -> None:
    for error in (S3AnswerError(403, "AccessDenied"), RuntimeError("AKIA-secret"), OSError("AKIA-secret")):
        with pytest.raises(ServiceError) as caught, as_service_error("cannot read 'x'"):
            raise error

        assert "AKIA" not in f"{caught.value.message} {caught.value.hint}"
        assert caught.value.message.startswith("cannot read 'x': ")


def test_an_answer_is_told_by_its_status() -> None:
    with pytest.raises(ServiceError, match="status 503"), as_service_error("cannot read 'x'"):
        raise AnswerError(503)


def test_errors_of_the_s3_drivers_libraries_are_known_by_name() -> None:
    from aiohttp import ClientPayloadError
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError

    assert is_transient(ClientPayloadError())
    assert is_transient(ReadTimeoutError(endpoint_url="x"))
    assert is_transient(EndpointConnectionError(endpoint_url="x"))
    assert not is_transient(NoCredentialsError())


def test_a_transfer_must_keep_a_least_pace() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0], grace_seconds=10, least_bytes_per_second=100)

    now[0] = 19
    pace.note(1_000)
    now[0] = 21

    with pytest.raises(ServiceError, match="too slowly"):
        pace.note(1)
