"""`heartify attest tcb-status`: what the vendors say of a platform now, what a policy accepts, and bundles of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from heartify.attestation.collateral_service.collateral_age import CollateralAge, age_of_collateral
from heartify.attestation.collateral_service.collateral_keeper import CollateralReading
from heartify.attestation.collateral_service.needs import CollateralNeed, DcapNeed, DcapTee, PckCa, need_of
from heartify.attestation.collateral_service.offline_bundle import OfflineBundle, encode_bundle, load_bundle
from heartify.attestation.collateral_service.tcb_status import (
    PlatformFirmware,
    TcbStatus,
    firmware_of_quote,
)
from heartify.attestation.collateral_service.tcb_status import tcb_status as levels_of
from heartify.attestation.inspection.contents import parse_contents
from heartify.attestation.policy import VerifierPolicy
from heartify.cli import attest_options as given
from heartify.cli import options
from heartify.cli.attest_tables import span, utc
from heartify.cli.output import say, show, table
from heartify.errors import AttestationError, UsageError
from heartify.party.evidence_check import exhibits_in
from heartify.party.home import write_atomically
from heartify.protocol.evidence import Evidence


def tcb_status(
    quotes: Annotated[list[Path] | None, typer.Argument(help="Quotes or evidence of the platforms to ask for.")] = None,
    fmspc: Annotated[str | None, typer.Option(help="A platform family of Intel instead, 12 hex digits.")] = None,
    tee: Annotated[str, typer.Option(help="With --fmspc: sgx or tdx.")] = "sgx",
    ca: Annotated[str, typer.Option(help="With --fmspc: platform (servers) or processor.")] = "platform",
    policy: given.PolicyFile = None,
    home: given.Home = None,
    pccs_url: given.PccsUrl = None,
    kds_url: given.KdsUrl = None,
    ca_file: given.CaFile = None,
    bundle: given.Bundle = None,
    at: given.At = None,
    save: Annotated[Path | None, typer.Option(help="Put the collateral into this bundle, for use offline.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show how platforms stand: TCB levels, advisories, numbers, dates, and what the policy accepts.

    Without a service, a bundle or a home that names one, it is read from what the evidence brings along.

    Example: heartify attest tcb-status quote.bin --pccs-url https://pccs.example:8081 --save collateral.json
    """
    believed = given.policy_of(policy, home) if policy is not None or home is not None else None
    now = given.moment(at)
    with given.collateral_source(
        believed, home, bundle=bundle, pccs_url=pccs_url, kds_url=kds_url, ca_file=ca_file
    ) as source:
        asked = [_ask(source, need, evidence, now) for need, evidence in _needs(quotes or [], fmspc, tee, ca)]
    answered = [_document(answer, believed, now) for answer in asked]
    # The quotes of one receipt are of one machine: what is the same is said once.
    documents = list({msgspec.json.encode(document): document for document in answered}.values())
    if save is not None:
        _save(save, {answer.need.name: answer.text for answer in asked})
    show(documents, as_json=as_json, human=lambda console: _show(console, documents))


@dataclass(frozen=True, slots=True)
class _Answer:
    """Collateral for a need; `reading` says its age when a service was asked."""

    need: CollateralNeed
    evidence: Evidence | None
    text: str
    reading: CollateralReading | None


def _needs(quotes: list[Path], fmspc: str | None, tee: str, ca: str) -> list[tuple[CollateralNeed, Evidence | None]]:
    if bool(quotes) == (fmspc is not None):
        raise UsageError("give quotes, or a platform family by --fmspc", hint="one of QUOTES and --fmspc")
    if fmspc is not None:
        return [(_family(fmspc, tee, ca), None)]
    exhibits = [exhibit for path in quotes for exhibit in exhibits_in(parse_contents(given.read(path)))]
    return [(need_of(exhibit.evidence), exhibit.evidence) for exhibit in exhibits]


def _family(fmspc: str, tee: str, ca: str) -> DcapNeed:
    try:
        return DcapNeed(msgspec.convert(tee, DcapTee), fmspc.upper(), msgspec.convert(ca, PckCa))
    except AttestationError as exc:
        raise UsageError(exc.message, hint=exc.hint) from exc
    except msgspec.ValidationError as exc:
        raise UsageError("--tee is sgx or tdx, --ca is platform or processor") from exc


def _ask(source: given.Source | None, need: CollateralNeed, evidence: Evidence | None, now: int) -> _Answer:
    if source is None:
        if evidence is None or not evidence.collateral:
            raise UsageError("nothing says where to ask", hint="give --pccs-url, --kds-url, --bundle or --home")
        return _Answer(need, evidence, evidence.collateral, None)
    if isinstance(source, OfflineBundle):
        return _Answer(need, evidence, source.collateral_of(need), None)
    reading = source.reading_for(need, now)
    return _Answer(need, evidence, reading.text, reading)


def _document(answer: _Answer, policy: VerifierPolicy | None, now: int) -> dict[str, Any]:
    need, text, reading = answer.need, answer.text, answer.reading
    document: dict[str, Any] = {"need": need.name, "parts": _parts(age_of_collateral(text), now)}
    if reading is not None:
        document["fetched"] = utc(reading.fetched_at)
        document["age_seconds"] = reading.age_seconds
        document["not_refreshed_because"] = reading.problem
    if isinstance(need, DcapNeed):
        quote = None if answer.evidence is None else bytes.fromhex(answer.evidence.quote_hex)
        platform = None if quote is None else firmware_of_quote(quote)
        status = levels_of(text, now, None if policy is None else policy.intel, platform)
        document.update(_intel(status, platform, policy))
    else:
        floor = None if policy is None else policy.sev_snp.floor_for(need.product)
        document["tcb"] = need.tcb.versions()
        document["minimum_tcb"] = None if floor is None else floor.versions()
        if policy is not None:
            document["accepted"] = floor is not None and not need.tcb.components_below(floor)
    return document


def _parts(age: CollateralAge, now: int) -> list[dict[str, Any]]:
    return [
        {
            "part": part.name,
            "number": part.number,
            "issued": utc(part.issued),
            "next_update": utc(part.next_update),
            "expired": part.next_update <= now,
        }
        for part in age.parts
    ]


def _intel(status: TcbStatus, platform: PlatformFirmware | None, policy: VerifierPolicy | None) -> dict[str, Any]:
    levels = [
        {
            "status": level.status,
            "tcb_date": utc(level.date),
            "advisories": list(level.advisories),
            "sgx_components": list(level.sgx_components),
            "pce_svn": level.pce_svn,
            **({} if policy is None else {"accepted": level.refusal is None, "refusal": level.refusal}),
            **({} if platform is None else {"platform_stands_here": level.current}),
        }
        for level in status.levels
    ]
    return {"evaluation_data_number": status.evaluation_data_number, "levels": levels}


def _save(path: Path, entries: dict[str, str]) -> None:
    kept = load_bundle(path) if path.exists() else {}
    for name, text in entries.items():
        if name in kept:
            age_of_collateral(text).check_not_older_than(age_of_collateral(kept[name]))
    write_atomically(path, encode_bundle({**kept, **entries}))
    say(f"collateral of {len(entries)} platforms saved in {path}")


def _show(console: Console, documents: list[dict[str, Any]]) -> None:
    for document in documents:
        rows = [
            [
                part["part"],
                str(part["number"]),
                part["issued"],
                part["next_update"] + (" EXPIRED" if part["expired"] else ""),
            ]
            for part in document["parts"]
        ]
        console.print(table(["issued", "number", "on", "next update"], rows, title=document["need"]))
        if "fetched" in document:
            why = document["not_refreshed_because"]
            age = f"fetched {document['fetched']}, {span(document['age_seconds'])} ago"
            console.print(age + ("" if why is None else f"; not refreshed: {why}"), markup=False, soft_wrap=True)
        if "levels" in document:
            _show_levels(console, document)
        else:
            _show_snp(console, document)
        console.print()


def _show_levels(console: Console, document: dict[str, Any]) -> None:
    rows = []
    for level in document["levels"]:
        verdict = "" if "accepted" not in level else "accepted" if level["accepted"] else level["refusal"]
        here = "← this platform" if level.get("platform_stands_here") else ""
        rows.append([level["status"], level["tcb_date"][:10], ", ".join(level["advisories"]) or "none", verdict, here])
    title = f"TCB levels, evaluation data number {document['evaluation_data_number']}"
    console.print(table(["status", "date", "advisories", "policy", ""], rows, title=title))


def _show_snp(console: Console, document: dict[str, Any]) -> None:
    minimum = document["minimum_tcb"] or {}
    rows = [[name, str(version), str(minimum.get(name, ""))] for name, version in document["tcb"].items()]
    verdict = "" if "accepted" not in document else "; accepted" if document["accepted"] else "; refused by the policy"
    console.print(table(["firmware", "reported", "policy's minimum"], rows, title=f"TCB{verdict}"))
