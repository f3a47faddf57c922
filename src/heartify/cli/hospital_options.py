"""Options that several of the hospital's commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from heartify.cli import options

Home = Annotated[Path, options.home_option("hospital")]
HOME = options.default_home("hospital")
