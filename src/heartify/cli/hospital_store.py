"""The hospital's commands for its store: read a version back and check it, clean up what no version names."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import messages, show, table
from heartify.cohort.storage.objects import check_stored_version
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.unreferenced import GRACE_SECONDS, find_unreferenced, remove_unreferenced
from heartify.cohort.storage.version_files import load_manifest
from heartify.hospital.hospital import Hospital


def check_store(
    version: Annotated[str, typer.Argument(help="The dataset version.")],
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """Read every file of a version back from the store and check its digest.

    Example: heartify hospital check-store 0x12... --home ./cleveland
    """
    store = open_store(Hospital(home, b"").settings.registered_store_url)
    manifest = load_manifest(store, version)
    with messages.status("reading the version back"):
        check_stored_version(store, manifest)
    files, size = len(manifest.columns), sum(entry.size for entry in manifest.columns)
    show(
        {"version": version, "files": files, "bytes": size},
        as_json=as_json,
        human=lambda c: c.print(f"{files} files of {size} bytes are there and unchanged", markup=False),
    )


def clean_store(
    remove: Annotated[bool, typer.Option(help="Remove them; without it they are only listed.")] = False,
    grace_hours: Annotated[
        float, typer.Option(help="Leave what is younger: a publication may be about to name it.")
    ] = GRACE_SECONDS / 3600,
    home: Home = HOME,
    as_json: options.Json = False,
) -> None:
    """List files in the store that no version names, such as those of abandoned publications, or remove them.

    Example: heartify hospital clean-store --home ./cleveland
    """
    store = open_store(Hospital(home, b"").settings.store_url)
    act = remove_unreferenced if remove else find_unreferenced
    found = act(store, time.time(), grace_seconds=grace_hours * 3600)

    def human(console: Console) -> None:
        rows = [[item.name, str(item.size), f"{item.age_seconds / 3600:.0f}"] for item in found]
        title = f"{len(found)} file(s) that no version names" + (", removed" if remove else "")
        console.print(table(["file", "bytes", "hours old"], rows, title=title))

    show({"removed": remove, "files": found}, as_json=as_json, human=human)
