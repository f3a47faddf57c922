"""A tiny enclave program for the tests of Gramine's launcher; it runs inside as `gramine_probe:probe`.

It imports what an image has; pathlib, for one, isn't there.
"""

from __future__ import annotations

import os
import sys
import time

import msgspec

from heartify.protocol.canonical import to_bytes
from heartify.protocol.evidence import Evidence


def probe(channel, quoter) -> None:
    while True:
        asked = channel.receive_job()
        channel.tell("answer", **COMMANDS[asked["do"]](asked, quoter))


def run_and_tell(channel, quoter) -> None:
    """Run the real program and tell how it failed, which it never tells itself."""
    try:
        from heartify.enclave.program import run_job

        run_job(channel, quoter)
    except Exception as exc:
        code = exc.code.label if hasattr(exc, "code") else str(exc)
        channel.tell("failed", error=type(exc).__name__, code=code, scipy="scipy.special" in sys.modules)


def _look(asked, quoter):
    return {
        "argv": sys.argv,
        "environment": dict(os.environ),
        "path": sys.path,
    }


def _print(asked, quoter):
    print("PATIENT-CANARY-4711", flush=True)
    sys.stderr.write("PATIENT-CANARY-4711\n")
    os.write(1, b"PATIENT-CANARY-4711")
    os.write(2, b"PATIENT-CANARY-4711")
    return {"stdin": os.read(0, 100).hex()}


def _fail(asked, quoter):
    raise ValueError("PATIENT-CANARY-4711")


def _exit(asked, quoter):
    raise SystemExit(asked["status"])


def _sleep(asked, quoter):
    time.sleep(asked["seconds"])
    return {}


def _burn(asked, quoter):
    while True:
        pass


def _evidence(asked, quoter):
    evidence = quoter.evidence(to_bytes(asked["report_data"]))
    return {"evidence": None if evidence is None else msgspec.to_builtins(evidence), "type": type(evidence) is Evidence}


COMMANDS = {
    "look": _look,
    "print": _print,
    "fail": _fail,
    "exit": _exit,
    "sleep": _sleep,
    "burn": _burn,
    "evidence": _evidence,
}
