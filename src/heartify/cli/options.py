"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from heartify.errors import UsageError
from heartify.party.keystore import read_password

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File with the keystores' password; else HEARTIFY_PASSWORD_FILE, else a prompt."),
]
DeploymentFile = Annotated[Path, typer.Option(help="The market's deployment document, from `heartify deploy`.")]
SimulatedRoot = Annotated[
    Path | None,
    typer.Option(
        "--unsafe-trust-simulated-root",
        help="Believe a simulated TEE whose root certificate is in this file. It proves nothing: for trials only.",
    ),
]
RequiredIsolation = Annotated[
    str | None,
    typer.Option(
        "--require-isolation",
        help="With a simulated root: the measures its evidence must state, such as sandbox,system-call-filter.",
    ),
]


def required_isolation(words: str | None, simulated_root: Path | None) -> tuple[str, ...]:
    """Return the words of --require-isolation; raises UsageError where no simulated root is believed."""
    if words is None:
        return ()
    if simulated_root is None:
        raise UsageError(
            "--require-isolation is about a simulated TEE, and none is believed",
            hint="hardware isolates by itself; give --unsafe-trust-simulated-root as well for trials",
        )
    return tuple(word.strip() for word in words.split(","))


def home_option(party: str) -> typer.models.OptionInfo:
    """Return the --home option of a kind of party."""
    option: typer.models.OptionInfo = typer.Option(help=f"The {party}'s home folder.", show_default=True)
    return option


def default_home(party: str) -> Path:
    """Return where a party's home lies unless --home says otherwise."""
    return Path("~/.heartify").expanduser() / party


def password(file: Path | None, *, confirm: bool = False) -> bytes:
    """Return the password from a file or a prompt."""
    return read_password(file, os.environ, confirm=confirm)
