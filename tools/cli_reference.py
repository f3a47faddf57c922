"""Write docs/reference/cli.md from the command line itself: `python -m tools.cli_reference [--check]`.

The page is what the commands say of themselves, so it can't drift; a test compares it with the committed file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from heartify.cli.main import build_app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
_HEAD = """\
# The command line

<!-- made by `python -m tools.cli_reference`; edit the commands, not this page -->

Every command prints data on stdout and messages on stderr.
With `--json`, stdout is one JSON document; after an error it is `{"error", "message", "hint", "exit_code"}`.
The exit codes are those of [errors.md](errors.md).

A password never stands on the command line.
It comes from `--password-file`, else from the file that `HEARTIFY_PASSWORD_FILE` names, else from a prompt.
It has at least 8 characters.
Commands without `--password-file` open no keystore of yours.
"""


def render() -> str:
    """Return the page's text."""
    sections = [_HEAD]
    for path, command in all_commands():
        sections.append(_section(path, command))
    return "\n".join(sections)


def all_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its path, in alphabetical order."""
    yield from _commands(typer.main.get_command(build_app()), ())


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say whether it is current."""
    text = render()
    if "--check" in arguments:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        sys.stderr.write("" if current else f"{PAGE.name} is not current: run python -m tools.cli_reference\n")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in sorted(children):
        yield from _commands(children[name], (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    text, _, example = " ".join((command.help or "").split()).partition(" Example: ")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join(["heartify", *path, *(_metavar(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## heartify {' '.join(path)}", "", text, "", "```", usage, "```"]
    rows = [f"| `{_metavar(p)}` | {_cell(p.help)} | {_default(p)} |" for p in arguments]
    rows += [f"| {_names(p)} | {_cell(p.help)} | {_default(p)} |" for p in options]
    if rows:
        lines += ["", "| argument or option | meaning | default |", "|---|---|---|", *rows]
    if example:
        lines += ["", f"Example: `{example}`"]
    return "\n".join(lines) + "\n"


def _metavar(parameter: Any) -> str:
    name = str(parameter.name).upper()
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value in (None, False, (), []):
        return ""
    # A home folder's default lies in the reader's own home, not in that of whoever made this page.
    shown = str(value).replace(str(Path.home()), "~")
    return f"`{shown}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
