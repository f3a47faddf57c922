"""The `heartify` command: subcommands, errors to exit codes.

Only the module of the command that is asked for is imported: a broker's start shouldn't wait for the report's imports.
"""

from __future__ import annotations

import importlib
import sys

import click
import typer

from heartify.cli.output import say, show_error
from heartify.errors import HeartifyError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_GROUPS = {
    "hospital": "heartify.cli.hospital",
    "lab": "heartify.cli.lab",
    "pool": "heartify.cli.pool",
    "account": "heartify.cli.account",
    "chain": "heartify.cli.chain",
}
_COMMANDS = {"deploy": "heartify.cli.chain", "demo": "heartify.cli.demo"}


def build_app(wanted: str | None = None) -> typer.Typer:
    """Return the command line, whole or with the one subcommand that is wanted."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        help="Rent out the use of patient data without giving the data away.",
    )
    app.callback()(_keep_subcommands)
    whole = wanted not in {*_GROUPS, *_COMMANDS}
    for name, module in _GROUPS.items():
        if whole or name == wanted:
            app.add_typer(importlib.import_module(module).app, name=name)
    for name, module in _COMMANDS.items():
        if whole or name == wanted:
            app.command(name)(getattr(importlib.import_module(module), name))
    return app


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code; see heartify.errors for the codes."""
    try:
        build_app(arguments[0] if arguments else None)(args=arguments, prog_name="heartify", standalone_mode=False)
    except HeartifyError as exc:
        show_error(exc, as_json="--json" in arguments)
        return exc.exit_code
    except click.exceptions.NoArgsIsHelpError as exc:
        sys.stdout.write(exc.format_message() + "\n")
        return EXIT_USAGE
    except click.ClickException as exc:
        say(f"heartify: {exc.format_message()}")
        say("hint: --help after any command shows its options")
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return 0


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main(sys.argv[1:]))


def _keep_subcommands() -> None:
    """Rent out the use of patient data without giving the data away."""
