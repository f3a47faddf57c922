"""Challenges: fresh nonces, each good once and for a minute."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

from heartify.errors import PolicyError
from heartify.protocol.key_release import CHALLENGE_SECONDS

MAX_PENDING = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class PendingChallenge:
    """A challenge that nobody has answered yet."""

    deal: str
    nonce: str
    expires: int


class PendingChallenges:
    """The unanswered challenges. They live in memory: a restart forgets them, and an enclave asks again."""

    def __init__(self, clock: Callable[[], int], randomness: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._randomness = randomness
        self._pending: dict[str, PendingChallenge] = {}
        self._lock = threading.Lock()

    def create(self, deal: str) -> tuple[str, PendingChallenge]:
        """Return a new session and its challenge.

        Raises:
            PolicyError: too many are pending.
        """
        now = self._clock()
        pending = PendingChallenge(deal, "0x" + self._randomness(32).hex(), now + CHALLENGE_SECONDS)
        session = self._randomness(16).hex()
        with self._lock:
            self._pending = {key: item for key, item in self._pending.items() if item.expires >= now}
            if len(self._pending) >= MAX_PENDING:
                raise PolicyError("too many challenges are pending", hint="try again in a minute")
            self._pending[session] = pending
        return session, pending

    def take(self, session: str) -> PendingChallenge:
        """Take a challenge out: it is used up now, whatever comes of it.

        Raises:
            PolicyError: unknown, used already, or expired.
        """
        with self._lock:
            pending = self._pending.pop(session, None)
        if pending is None:
            raise PolicyError("the challenge is unknown or was used already", hint="ask for a new challenge")
        if self._clock() > pending.expires:
            raise PolicyError("the challenge has expired", hint="ask for a new challenge")
        return pending
