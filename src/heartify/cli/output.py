"""What commands print: data on stdout (a table, or JSON with --json), messages and progress on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from heartify.errors import HeartifyError

_PIPE_WIDTH = 160  # where there is no terminal, tables are for files and logs, and needn't fold at 80

messages = Console(stderr=True, highlight=False, soft_wrap=True)


def show(document: Any, *, as_json: bool, human: Callable[[Console], None]) -> None:
    """Print a document as JSON, or let `human` print it for people."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
        return
    human(Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    """Return a table for people; cells are plain text, never markup."""
    # A title wraps at its table's width: give a narrow table room for it.
    built = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
        min_width=min(len(title or ""), _PIPE_WIDTH),
    )
    for column in columns:
        built.add_column(column, overflow="fold")
    for row in rows:
        built.add_row(*(cell.replace("[", "\\[") for cell in row))
    return built


def say(text: str) -> None:
    """Print a message for people on stderr."""
    messages.print(text, markup=False)


def show_error(error: HeartifyError, *, as_json: bool) -> None:
    """Print an error and its hint on stderr; with --json its diagnostics on stdout too."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(error.diagnostics()).decode() + "\n")
    say(f"heartify: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


@contextlib.contextmanager
def after_document() -> Iterator[None]:
    """Turn an error into messages and its exit code only: the command's one JSON document is on stdout already."""
    try:
        yield
    except HeartifyError as exc:
        show_error(exc, as_json=False)
        raise typer.Exit(exc.exit_code) from exc


def short(digest: str) -> str:
    """Return the beginning of a digest or address, for tables."""
    return digest[:12] + "…" if len(digest) > 14 else digest
