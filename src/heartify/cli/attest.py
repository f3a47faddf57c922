"""`heartify attest`: look at evidence, verify it, ask how a platform stands, say a policy in sentences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.attestation.inspection.contents import parse_contents
from heartify.attestation.inspection.inspect_contents import inspect_contents
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.policy_file import load_policy
from heartify.attestation.policy_text import describe_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.cli import attest_options as given
from heartify.cli import options
from heartify.cli.attest_tables import show_inspection, show_verified, verified_document
from heartify.cli.attest_tcb_status import tcb_status
from heartify.cli.output import say, show
from heartify.errors import AttestationError, UsageError
from heartify.party.evidence_check import exhibits_in, reference_measurements, verify_exhibit
from heartify.party.http_service import bind, serve
from heartify.party.trust import load_trust
from heartify.party.unsafe_simulated_pccs import build_simulated_pccs_service, simulated_pccs_of

app = typer.Typer(
    no_args_is_help=True, help="Evidence of trusted execution environments: inspect, verify, and how platforms stand."
)
app.command("tcb-status")(tcb_status)

SIMULATED_PCCS_PORT = 8790
EvidenceFile = Annotated[
    Path, typer.Argument(help="A quote or report (bytes or hex), evidence, a receipt, collateral or certificates.")
]


@app.command()
def inspect(file: EvidenceFile, as_json: options.Json = False) -> None:
    """Say what a file of evidence is and what all its fields say; nothing is verified.

    Example: heartify attest inspect receipt.json
    """
    inspection = inspect_contents(parse_contents(given.read(file)))
    show(inspection.to_document(), as_json=as_json, human=lambda c: show_inspection(c, inspection))


@app.command()
def verify(
    file: EvidenceFile,
    policy: given.PolicyFile = None,
    home: given.Home = None,
    measurement: Annotated[
        list[str] | None, typer.Option(help="An approved measurement as hex; may be given several times.")
    ] = None,
    app_release: Annotated[
        list[Path] | None, typer.Option(help="An app release document, whose measurements are approved.")
    ] = None,
    report_data: Annotated[
        str | None, typer.Option(help="The 64 bytes that the evidence must carry, as hex; a receipt says them itself.")
    ] = None,
    unsafe_any_report_data: Annotated[
        bool,
        typer.Option("--unsafe-any-report-data", help="Accept any report data: the evidence may be old or another's."),
    ] = False,
    collateral: Annotated[
        Path | None, typer.Option(help="Collateral instead of what the evidence brings along.")
    ] = None,
    bundle: given.Bundle = None,
    pccs_url: given.PccsUrl = None,
    kds_url: given.KdsUrl = None,
    ca_file: given.CaFile = None,
    at: given.At = None,
    as_json: options.Json = False,
) -> None:
    """Verify evidence under a policy as a key broker would; the exit code is 5 when it is refused.

    The policy is that of --policy, or what the party of --home believes. Collateral comes from the file or service
    that is named, else from the home's collateral.toml, else from what the evidence brings along. Without a measurement
    or app release, those count that the hospital of --home approved, or that the deployment of any other home names.

    Example: heartify attest verify quote.bin --policy policy.toml --app-release release.json --report-data 00ff…
    """
    believed = given.policy_of(policy, home)
    now = given.moment(at)
    exhibits = exhibits_in(parse_contents(given.read(file)), given.read_text(collateral))
    if not exhibits:
        raise AttestationError("the receipt records no key release, so there is no evidence to verify")
    measurements = [given.hex_bytes("--measurement", text) for text in measurement or ()]
    releases = [given.read_app_release(path) for path in app_release or ()]
    if not measurements and not releases:
        releases = given.releases_of(home)
    with given.collateral_source(
        believed, home, collateral=collateral, bundle=bundle, pccs_url=pccs_url, kds_url=kds_url, ca_file=ca_file
    ) as source:
        verified = [
            verify_exhibit(
                exhibit,
                believed,
                now,
                measurements=reference_measurements(exhibit.evidence.tee_kind, measurements, releases),
                source=source,
                report_data=None if report_data is None else given.hex_bytes("--report-data", report_data),
                unsafe_any_report_data=unsafe_any_report_data,
            )
            for exhibit in exhibits
        ]
    document = [verified_document(item, believed, now) for item in verified]
    show(document, as_json=as_json, human=lambda c: show_verified(c, verified, believed, now))


@app.command()
def policy(
    file: Annotated[Path | None, typer.Argument(help="A policy file; else the policy of --home.")] = None,
    home: given.Home = None,
    as_json: options.Json = False,
) -> None:
    """Say a verifier policy in sentences.

    Example: heartify attest policy trust-policy.toml
    """
    believed = _policy_to_say(file, home)
    sentences = describe_policy(believed)
    show(
        {"policy": believed.name, "sentences": sentences},
        as_json=as_json,
        human=lambda console: _print_lines(console, sentences),
    )


@app.command("unsafe-simulated-pccs")
def unsafe_simulated_pccs(
    platform: Annotated[Path, typer.Option(help="Folder of a simulated platform's keys, such as a pool's.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = SIMULATED_PCCS_PORT,
) -> None:
    """Serve a simulated platform's collateral as a PCCS would, until Ctrl-C; for trials, it proves nothing.

    Example: heartify attest unsafe-simulated-pccs --platform ./pool/unsafe-simulated-platform
    """
    pccs = simulated_pccs_of(SimulatedPlatform.load(platform), time.time)
    listener = bind(host, port)
    say(f"simulated PCCS (not Intel's) listens on http://{host}:{listener.getsockname()[1]}")
    serve(build_simulated_pccs_service(pccs), listener)


def _policy_to_say(file: Path | None, home: Path | None) -> VerifierPolicy:
    if (file is None) == (home is None):
        raise UsageError("give a policy file, or a home whose policy to say", hint="one of FILE and --home")
    return load_trust(home) if home is not None else load_policy(given.existing(file))


def _print_lines(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
