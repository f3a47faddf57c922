"""Options that several of the lab's commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heartify.cli import options

Home = Annotated[Path, options.home_option("lab")]
HOME = options.default_home("lab")
PlanFile = Annotated[Path, typer.Argument(help="The study plan (TOML).")]
Versions = Annotated[
    list[str] | None, typer.Option("--dataset-version", help="Use exactly these versions; else all that fit.")
]
