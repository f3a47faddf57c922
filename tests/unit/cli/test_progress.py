"""The progress bar: seen on a terminal, silent in logs and pipes, never on stdout."""

from __future__ import annotations

import io

from rich.console import Console

from heartify.cli.progress import step_progress


def reported(*, terminal: bool) -> str:
    """What stands on the console after two steps were reported."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, _environ={"TERM": "xterm"})
    with step_progress(console) as report:
        report("reading", 65_536, 0.5)
        report("reading", 131_072, None)
        report("encrypting", 131_072, 1.0)
    return stream.getvalue()


def test_terminal_shows_each_step_with_its_rows(capsys):
    shown = reported(terminal=True)

    assert "reading" in shown
    assert "encrypting" in shown
    assert "131,072 rows" in shown
    assert capsys.readouterr().out == ""


def test_what_is_no_terminal_gets_nothing():
    assert reported(terminal=False) == ""


def test_stdout_is_the_commands_own_while_a_bar_is_shown(capsys):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})

    with step_progress(console) as report:
        report("reading", 1, None)
        print("a document")

    assert capsys.readouterr().out == "a document\n"
