"""What a steward says about a source besides its name: how a file is written, which table of a database is meant.

Everything here has a default that is found in the source itself or refused, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options of a source; None: the source's own default. One that doesn't belong to the source is refused.

    `ignore`: columns of the source that the dictionary leaves out on purpose.
    `delimiter`, `decimal`, `encoding`: of a text file.
    `table` or `query`, `password_file`: of a database.
    """

    ignore: tuple[str, ...] = ()
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    table: str | None = None
    query: str | None = None
    password_file: Path | None = None
