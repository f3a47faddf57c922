"""The progress of a long command, on stderr and only where there is a terminal.

Logs and pipes get nothing of it, and stdout is never touched: with --json it is one document.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from heartify.hospital.publishing.terms import Report, Step


@contextlib.contextmanager
def step_progress(console: Console) -> Iterator[Report]:
    """Yield what is called with a publication's steps: one bar for each, gone at the end."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal
    ) as progress:
        yield _Steps(progress)


class _Steps:
    """Keeps one bar a step; a step that begins ends the one before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Step, TaskID] = {}

    def __call__(self, step: Step, rows: int, fraction: float | None) -> None:
        if step not in self._tasks:
            for earlier in self._tasks.values():
                self._progress.update(earlier, total=1.0, completed=1.0)
            self._tasks[step] = self._progress.add_task(step, total=None, rows=0)
        if fraction is None:
            self._progress.update(self._tasks[step], rows=rows)
        else:
            self._progress.update(self._tasks[step], total=1.0, completed=fraction, rows=rows)
