"""The `heartify` command: subcommands, errors to exit codes.

Only the module of the command that is asked for is imported: a broker's start shouldn't wait for the report's imports.
"""

from __future__ import annotations

import importlib
import sys

import typer
from typer.exceptions import TyperException

from heartify.cli.output import show_error
from heartify.errors import HeartifyError, UsageError

EXIT_INTERRUPTED = 130
_HELP_HINT = "--help after any command shows its options"

_GROUPS = {
    "hospital": "heartify.cli.hospital",
    "lab": "heartify.cli.lab",
    "pool": "heartify.cli.pool",
    "account": "heartify.cli.account",
    "attest": "heartify.cli.attest",
    "chain": "heartify.cli.chain",
    "audit": "heartify.cli.audit",
    "enclave": "heartify.cli.enclave",
}
_SERVICES = {("hospital", "broker"): "heartify.cli.hospital_broker"}
"""Groups within a group that are imported without the rest of it: they are started often, and run for long."""

_COMMANDS = {"deploy": "heartify.cli.chain", "demo": "heartify.cli.demo"}


def build_app(wanted: str | None = None, command: str | None = None) -> typer.Typer:
    """Return the command line, whole or with the one subcommand that is wanted, or with one command of it."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        help="Rent out the use of patient data without giving the data away.",
    )
    app.callback()(_keep_subcommands)
    if (service := _SERVICES.get((wanted or "", command or ""))) is not None:
        app.add_typer(_lone_subgroup(service, command or ""), name=wanted)
        return app
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
    arguments = arguments or ["--help"]
    try:
        code = build_app(*arguments[:2])(args=arguments, prog_name="heartify", standalone_mode=False)
    except HeartifyError as exc:
        return _refuse(exc, arguments)
    except TyperException as exc:  # the base of all that typer itself says about a wrong command line
        if not exc.format_message():
            return UsageError.exit_code  # a group without a subcommand: its help has been printed
        return _refuse(UsageError(exc.format_message(), hint=_HELP_HINT), arguments)
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _refuse(error: HeartifyError, arguments: list[str]) -> int:
    show_error(error, as_json="--json" in arguments)
    return error.exit_code


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main(sys.argv[1:]))


def _lone_subgroup(module: str, name: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True)
    group.callback()(_keep_subcommands)
    group.add_typer(importlib.import_module(module).app, name=name)
    return group


def _keep_subcommands() -> None:
    """Rent out the use of patient data without giving the data away."""
