"""Challenges: fresh nonces, each good once, for one deal and for a minute. Issuing one costs no memory.

    session = expiry (4 bytes, UTC seconds) || random (6 bytes) || tag (6 bytes of HMAC-SHA-256)
    nonce   = HMAC-SHA-256(key, "nonce" || session || deal)

The key is drawn when the process starts and never leaves it. So a challenge needs not be remembered before it is
answered, and nobody can fill the broker's memory with questions; only answered ones are kept until they expire, since
each is good once. A restart forgets the key and with it every challenge: an enclave asks again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import threading
from collections.abc import Callable
from typing import Final

from heartify.errors import PolicyError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.key_release import CHALLENGE_SECONDS

# Each answered one lives for a minute at most: more than this is a flood, and the newest are refused.
MAX_ANSWERED: Final = 100_000
_EXPIRY_BYTES, _RANDOM_BYTES, _TAG_BYTES = 4, 6, 6
_KEY_BYTES: Final = 32


@dataclasses.dataclass(frozen=True, slots=True)
class PendingChallenge:
    """A challenge that an enclave answers: `deal` and `nonce` are 32 bytes in hex, `expires` is in UTC seconds."""

    deal: str
    nonce: str
    expires: int


class Challenges:
    """Issues challenges and takes each back once. `clock` gives UTC seconds, `randomness` so many random bytes."""

    def __init__(self, clock: Callable[[], int], randomness: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._randomness = randomness
        self._key = randomness(_KEY_BYTES)
        self._answered: dict[str, int] = {}
        self._lock = threading.Lock()

    def create(self, deal: str) -> tuple[str, PendingChallenge]:
        """Return a new session and its challenge."""
        expires = self._clock() + CHALLENGE_SECONDS
        head = expires.to_bytes(_EXPIRY_BYTES, "big") + self._randomness(_RANDOM_BYTES)
        session = head + self._tag(head, deal)
        return session.hex(), PendingChallenge(deal, self._nonce(session, deal), expires)

    def take(self, session: str, deal: str) -> PendingChallenge:
        """Take back the challenge of a session and deal: it is used up now, whatever comes of it.

        Raises:
            PolicyError: not this process's, for another deal, used already, or expired; or too many are answered.
        """
        raw = bytes.fromhex(session)
        head, tag = raw[: _EXPIRY_BYTES + _RANDOM_BYTES], raw[_EXPIRY_BYTES + _RANDOM_BYTES :]
        if not hmac.compare_digest(tag, self._tag(head, deal)):
            raise PolicyError("the challenge is not one of this broker for this deal", hint="ask for a new challenge")
        expires = int.from_bytes(head[:_EXPIRY_BYTES], "big")
        if self._clock() > expires:
            raise PolicyError("the challenge has expired", hint="ask for a new challenge")
        self._use_up(session, expires)
        return PendingChallenge(deal, self._nonce(raw, deal), expires)

    def _use_up(self, session: str, expires: int) -> None:
        now = self._clock()
        with self._lock:
            if session in self._answered:
                raise PolicyError("the challenge was used already", hint="ask for a new challenge")
            if len(self._answered) >= MAX_ANSWERED:
                self._answered = {used: until for used, until in self._answered.items() if until >= now}
            if len(self._answered) >= MAX_ANSWERED:
                raise PolicyError("too many challenges are being answered", hint="try again in a minute")
            self._answered[session] = expires

    def _tag(self, head: bytes, deal: str) -> bytes:
        return self._mac(b"tag", head, deal)[:_TAG_BYTES]

    def _nonce(self, session: bytes, deal: str) -> str:
        return "0x" + self._mac(b"nonce", session, deal).hex()

    def _mac(self, purpose: bytes, part: bytes, deal: str) -> bytes:
        return hmac.new(self._key, purpose + b"\0" + part + to_bytes(deal), hashlib.sha256).digest()
