"""Kill a broker with SIGKILL at every call that a release makes, and look at what is left. Run as a program.

    python kill_everywhere.py FOLDER POINTS  →  one JSON document; POINTS 0 means every one

A fresh process is forked for each point; in it a trace function counts the calls of our own code, of SQLAlchemy's
engine and of the database driver within one release, and kills the process at the wanted one. The parent then looks
at the database as a restarted broker would find it. No code of the product knows of this.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import msgspec

from heartify.broker.audit.log import entries
from heartify.broker.database import open_database

_WATCHED = ("/heartify/", "/sqlalchemy/engine/", "/sqlalchemy/pool/")


def load_world_module():
    """Load the conftest of the broker's unit tests as a module."""
    path = Path(__file__).parents[2] / "unit" / "broker" / "conftest.py"
    spec = importlib.util.spec_from_file_location("broker_world", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["broker_world"] = module
    spec.loader.exec_module(module)
    return module


def run_child(world, deal, names, point: int, pipe: int) -> None:
    """Release once; die at the wanted call. What gets out is written to the pipe, as a service would send it."""
    broker = world.reopen()
    challenge = broker.challenge(deal.deal_id(names.DOMAIN))
    request = world.request(challenge, deal)
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        if event == "c_call" or any(part in _frame.f_code.co_filename for part in _WATCHED):
            calls += 1
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    release = broker.release(request)
    sys.setprofile(None)
    os.write(pipe, msgspec.json.encode({"calls": calls, "release": release}))
    os._exit(0)


def fork_once(world, deal, names, point: int) -> dict | None:
    """Return what a child that dies at `point` sent, None when nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run_child(world, deal, names, point, writing)
        finally:
            os._exit(70)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        sent = file.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return None
    if os.WEXITSTATUS(status) != 0:
        raise SystemExit(f"the child failed by itself at point {point}")
    return json.loads(sent)


def look(world, deal, names) -> dict[str, object]:
    """Return what a restarted broker finds of a deal, and what it gives to the same enclave that asks again."""
    engine = open_database(world.database_url)
    with engine.connect() as connection:
        released = [
            entry
            for entry in entries(connection)
            if entry.event == "keys-released" and entry.details["deal"] == deal.deal_id(names.DOMAIN)
        ]
    engine.dispose()
    uses = world.store.uses.of_deal(deal.deal_id(names.DOMAIN))
    found = {
        "uses": len(uses),
        "receipts": sum(len(use.key_receipt_signature) == 132 for use in uses),
        "entries": len(released),
    }
    again = world.ask(deal, world.reopen())
    after = world.store.uses.of_deal(deal.deal_id(names.DOMAIN))
    return {
        **found,
        "uses_after": len(after),
        "same_receipt": all(use.key_receipt_signature == again.key_receipt_signature for use in after),
    }


def main(folder: Path, points: int) -> None:
    """Go through that many points, evenly spread, or through all."""
    names = load_world_module()
    platform = names.SimulatedPlatform.create(names.NOW)
    world = names.build_world(folder, platform, names.write_small_version())
    world.ask(world.open_deal(poolPrice=9))  # fills the caches, so that each child makes the same calls
    world.store.engine.dispose()
    whole = fork_once(world, world.open_deal(poolPrice=10), names, point=0)
    total = whole["calls"]
    results = []
    stride = max(1, total // points) if points else 1
    # The count is committed shortly before the end: no spread of points may miss what comes after it.
    chosen = {*range(1, total + 1, stride), *range(max(1, total - 120), total + 1, max(1, min(stride, 6)))}
    for point in sorted(chosen):
        deal = world.open_deal(poolPrice=1000 + point)
        world.enclave = names.Enclave(platform)
        sent = fork_once(world, deal, names, point)
        results.append({"point": point, "sent": sent is not None, **look(world, deal, names)})
    print(json.dumps({"total": total, "results": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
