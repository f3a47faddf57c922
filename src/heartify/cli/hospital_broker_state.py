"""`heartify hospital broker` create-kek, rotate-kek, backup, restore: the broker's keys and state."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated

import typer

from heartify.broker.backup.restore import Restored
from heartify.broker.kek.settings import EnvironmentKek, TokenKek
from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import show, table
from heartify.errors import UsageError

app = typer.Typer()

Module = Annotated[str | None, typer.Option(help="The PKCS#11 library of the token.")]
TokenLabel = Annotated[str | None, typer.Option(help="The token's label.")]
TokenSerial = Annotated[str | None, typer.Option(help="The token's serial number, if labels aren't unique.")]
KeyLabel = Annotated[str, typer.Option(help="The key's label in the token.")]
PinFile = Annotated[Path | None, typer.Option(help="File with the token's PIN; else HEARTIFY_PKCS11_PIN.")]
_KEY_LABEL = "heartify-broker"


class KekKind(enum.Enum):
    """Where a key-encryption key can lie."""

    KEYSTORE = "keystore"
    ENVIRONMENT = "environment"
    PKCS11 = "pkcs11"


@app.command("create-kek")
def create_kek(
    module: Module = None,
    token_label: TokenLabel = None,
    token_serial: TokenSerial = None,
    key_label: KeyLabel = _KEY_LABEL,
    pin_file: PinFile = None,
    as_json: options.Json = False,
) -> None:
    """Create a key-encryption key in a PKCS#11 token, which it never leaves; rotate-kek puts it to use.

    Example: heartify hospital broker create-kek --module /usr/lib/softhsm/libsofthsm2.so --token-label hospital
    --pin-file ./pin
    """
    from heartify.broker.kek.choose_kek import read_pin, token_place
    from heartify.broker.kek.pkcs11_kek import create_pkcs11_key

    settings = _token(module, token_label, token_serial, key_label, pin_file)
    kek_id = create_pkcs11_key(token_place(settings), read_pin(settings, os.environ))
    document = {"kek": kek_id, "key_label": key_label}
    show(document, as_json=as_json, human=lambda c: c.print(table(["created", ""], [["key", kek_id]])))


@app.command("rotate-kek")
def rotate_kek(
    to: Annotated[KekKind, typer.Option(help="Where the new key-encryption key lies.")] = KekKind.KEYSTORE,
    variable: Annotated[str, typer.Option(help="Name of the environment's secret.")] = "HEARTIFY_BROKER_KEK",
    module: Module = None,
    token_label: TokenLabel = None,
    token_serial: TokenSerial = None,
    key_label: KeyLabel = _KEY_LABEL,
    pin_file: PinFile = None,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Wrap all master keys by another key-encryption key; the broker must not run.

    Example: heartify hospital broker rotate-kek --to pkcs11 --module /usr/lib/softhsm/libsofthsm2.so
    --token-label hospital --pin-file ./pin --home ./cleveland
    """

    from heartify.hospital.broker_state import BrokerState

    state = BrokerState(home, options.password(password_file), os.environ)
    if to is KekKind.PKCS11:
        old, new, count = state.rotate(_token(module, token_label, token_serial, key_label, pin_file))
    elif to is KekKind.ENVIRONMENT:
        old, new, count = state.rotate(EnvironmentKek(variable))
    else:
        old, new, count = state.rotate(state.create_keystore())
    rows = [["from", old], ["to", new], ["master keys", str(count)]]
    document = {"from": old, "to": new, "count": count}

    show(document, as_json=as_json, human=lambda c: c.print(table(["rotated; make a backup now", ""], rows)))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file.")],
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Back up the broker's state, encrypted under its key-encryption key; the broker may run meanwhile.

    Example: heartify hospital broker backup ./broker-2026-11-22.backup --home ./cleveland
    """
    from heartify.hospital.broker_state import BrokerState

    header = BrokerState(home, options.password(password_file), os.environ).back_up(file)
    rows = [["file", str(file)], ["audit entries", str(header.audit_sequence)], ["opens with", header.kek_id]]
    document = {"file": str(file), "audit_sequence": header.audit_sequence, "kek": header.kek_id}
    show(document, as_json=as_json, human=lambda c: c.print(table(["backed up", ""], rows)))


@app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(help="The backup.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Throw away a state that has gone on since.")] = False,
    acknowledge_rollback: Annotated[
        bool,
        typer.Option("--acknowledge-rollback", help="Go on with a database that was put back by other means."),
    ] = False,
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Restore the broker's state from a backup; it is paused then, and earlier deals get no keys. It must not run.

    Example: heartify hospital broker restore ./broker-2026-11-22.backup --home ./cleveland
    """
    from heartify.hospital.broker_state import BrokerState

    if (file is None) != acknowledge_rollback or (replace and acknowledge_rollback):
        raise UsageError("give the backup to restore, or --acknowledge-rollback alone")
    state = BrokerState(home, options.password(password_file), os.environ)
    restored = state.acknowledge_rollback() if file is None else state.restore(file, replace=replace)
    rows = [
        ["deals refused up to block", str(restored.block)],
        ["keys destroyed again", str(len(restored.erased))],
        ["audit log", _lost_entries(restored)],
        ["paused", "look through approvals, grants and rules, then `heartify hospital broker resume`"],
    ]
    document = {
        "block": restored.block,
        "erased": restored.erased,
        "kept_audit_entries": restored.kept,
        "lost_anchor": restored.lost_anchor or None,
        "paused": True,
    }
    show(document, as_json=as_json, human=lambda c: c.print(table(["restored", ""], rows)))


def _lost_entries(restored: Restored) -> str:
    if restored.lost_anchor == 0:
        return f"kept up to entry {restored.kept}; no anchored entry is lost"
    if restored.lost_anchor > restored.kept:
        return f"entries {restored.kept + 1} to {restored.lost_anchor} are lost; auditors will see it, tell them why"
    return f"entry {restored.lost_anchor} is another than the anchored one; auditors will see it, tell them why"


def _token(
    module: str | None, token_label: str | None, token_serial: str | None, key_label: str, pin_file: Path | None
) -> TokenKek:

    if module is None:
        raise UsageError("no PKCS#11 library is named", hint="give --module")
    return TokenKek(
        module=module,
        token_label=token_label,
        token_serial=token_serial,
        key_label=key_label,
        pin_file=None if pin_file is None else str(pin_file.absolute()),
    )
