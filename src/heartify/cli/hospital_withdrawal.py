"""The hospital's commands for patients who opt out and for versions that must be used no more."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import show, table
from heartify.hospital.hospital import Hospital
from heartify.hospital.withdrawal import receipt_file
from heartify.protocol.destruction import DestructionReason


def withdraw(
    version: Annotated[str, typer.Argument(help="The dataset version.")],
    reason: Annotated[
        DestructionReason, typer.Option(help="Why; it stands in the public receipt.")
    ] = DestructionReason.UNSPECIFIED,
    remove_files: Annotated[bool, typer.Option(help="Remove the encrypted files from the store too.")] = False,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Withdraw a dataset version for good: destroy its key, sign a destruction receipt, tell the market.

    Example: heartify hospital withdraw 0x12... --reason opt-out --home ./cleveland
    """
    hospital = Hospital(home, options.password(password_file))
    receipt = hospital.withdraw_version(version, reason=reason, remove_files=remove_files)

    def human(console: Console) -> None:
        console.print(f"withdrawn: {version}", markup=False)
        console.print("its key is destroyed; destroy the backups of broker.sqlite too", markup=False)
        console.print(f"receipt: {receipt_file(hospital.home.destructions, version)}", markup=False)

    show(receipt, as_json=as_json, human=human)


def opt_out(
    ids: Annotated[Path, typer.Argument(help="File of patient ids: one a line, or CSV with --column.")],
    column: Annotated[str | None, typer.Option(help="The column of a CSV file that has the ids.")] = None,
    day: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When the hospital was told; today if not given.")
    ] = None,
    take_back: Annotated[bool, typer.Option(help="Take these patients' opt-outs back instead.")] = False,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Record patients who opted out: every version published from now on leaves them out.

    Example: heartify hospital opt-out told-today.txt --home ./cleveland
    """
    hospital = Hospital(home, options.password(password_file))
    change = hospital.record_opt_outs(ids, column=column, day=None if day is None else day.date(), take_back=take_back)
    rows = [["ids in the file", str(change.given)], ["changed", str(change.changed)], ["opted out", str(change.listed)]]
    show(change, as_json=as_json, human=lambda c: c.print(table(["opt-outs", ""], rows)))
