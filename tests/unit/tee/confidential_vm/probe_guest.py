"""A tiny enclave program for the tests of confidential VMs: it echoes, quotes, and says what it sees around itself.

It runs inside the guest as `probe_guest:main`; no test module imports it.
"""

# ruff: noqa: PTH208
from __future__ import annotations

import os
import resource
import sys


def main(channel, quoter):
    while True:
        header = channel._expect(channel._read()[0], "do")
        command = header["command"]
        if command == "echo":
            channel.tell("echo", text=header["text"][::-1])
        elif command == "describe":
            channel.tell(
                "describe",
                path=sys.path,
                root=sorted(os.listdir("/")),
                environment=dict(os.environ),
                core=resource.getrlimit(resource.RLIMIT_CORE),
                files=resource.getrlimit(resource.RLIMIT_FSIZE),
                arguments=sys.argv[1:],
            )
        elif command == "quote":
            evidence = quoter.evidence(bytes.fromhex(header["report_data"]))
            named = None if evidence is None else [evidence.tee_kind, evidence.quote_hex, evidence.collateral]
            channel.tell("evidence", evidence=named)
        elif command == "fail":
            raise ValueError("PATIENT-CANARY-4711")
