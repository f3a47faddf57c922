"""The time limit of a run, from inside: near the end of what the size class promises, a study is stopped and signs so.

Two clocks: the wall's, by a timer, and the processor's, by the soft limit that the bootstrap sets below the hard one.
The host gives both, so it could make time pass to be paid for a failure: a study that did not use the time itself
fails at the host's cost. Signals reach the main thread only; a rehearsal in another thread has no limit to keep.
"""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from heartify.enclave.failure import StudyFailedError
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.size_class import SizeClass

# The rest is for signing and sending the failure.
TOLD_AT = 0.95
# A study that computed for half of the time was too large for the class; else its host kept it waiting.
_OWN_SHARE = 0.5
# Should one be swallowed, as in a finaliser, the next comes a second later.
_AGAIN_SECONDS = 1.0

Handler = Callable[[int, FrameType | None], object] | int | None


class RunClock:
    """Stops the main thread with StudyFailedError when the promised time is nearly over."""

    def __init__(self, promised: SizeClass) -> None:
        self._promised = promised
        self._running = False
        self._before: dict[signal.Signals, Handler] = {}

    def start(self) -> None:
        """Begin to count, in the main thread; in another one this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._running = True
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._wall_clock)
        self._before[signal.SIGXCPU] = signal.signal(signal.SIGXCPU, self._processor_clock)
        signal.setitimer(signal.ITIMER_REAL, self._promised.max_seconds * TOLD_AT, _AGAIN_SECONDS)

    def stop(self) -> None:
        """Stop counting: from here on nothing is interrupted. It may be called twice, and without a start."""
        if not self._running:
            return
        self._running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wall_clock(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_study(self._promised.max_seconds * _OWN_SHARE)

    def _processor_clock(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_study(int(self._promised.max_seconds * TOLD_AT))

    def _stop_study(self, own_seconds: float) -> None:
        # A host may also send the signal itself, or have set a limit below the promised one.
        if self._running:
            own = time.process_time() >= own_seconds
            raise StudyFailedError(FailureCode.SIZE_LIMIT_EXCEEDED if own else FailureCode.HOST_PROTOCOL)


def code_for_lack_of_memory(promised: SizeClass) -> FailureCode:
    """Return whose fault it is that no memory is left: the host's when it gave less than promised."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    enough = soft == resource.RLIM_INFINITY or soft >= promised.max_memory_bytes
    return FailureCode.SIZE_LIMIT_EXCEEDED if enough else FailureCode.HOST_PROTOCOL
