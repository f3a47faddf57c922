"""The files of an opened deal: result.json, receipt.json, settlement.json, report.html, each whole or not at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec

import heartify
from heartify.lab.opening import Opened
from heartify.lab.report import render_report
from heartify.party.home import write_atomically
from heartify.protocol.eip712 import from_json
from heartify.protocol.receipts import Settlement


def store_outputs(
    folder: Path,
    opened: Opened,
    *,
    true_weights: Mapping[str, float] | None = None,
) -> tuple[Path, ...]:
    """Write what a lab keeps of a deal; return the paths. result.json is absent when nothing was delivered."""
    receipt = opened.bundle.receipt
    settlement = from_json(Settlement, receipt.settlement)
    report = render_report(
        plan=receipt.plan,
        result=opened.result,
        outcome=settlement.reason(),
        verification=opened.verification,
        settlement=opened.settlement,
        factor_titles=opened.titles,
        true_weights=true_weights,
        produced_utc=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=heartify.__version__,
    )
    contents = {
        "receipt.json": _json(opened.bundle.receipt),
        "settlement.json": _json(opened.settlement),
        "report.html": report.encode(),
    }
    if opened.result is not None:
        contents["result.json"] = _json(opened.result)
    else:
        (folder / "result.json").unlink(missing_ok=True)  # of another deal, opened into this folder before
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return tuple(folder / name for name in sorted(contents))


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
