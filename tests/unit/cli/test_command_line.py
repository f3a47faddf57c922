"""The command line as a whole: help, exit codes, one JSON document, nothing secret in argv."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typer

import heartify.errors as errors
from heartify.cli.main import build_app, main
from heartify.cli.output import after_document, show_error
from heartify.errors import HeartifyError


def all_commands():
    """Every command of the whole command line as (words, click command)."""

    def walk(command, words):
        children = getattr(command, "commands", None)
        if children is None:
            yield words, command
            return
        for name, child in children.items():
            yield from walk(child, (*words, name))

    return list(walk(typer.main.get_command(build_app()), ()))


COMMANDS = all_commands()
ERROR_CLASSES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HeartifyError) and kind is not HeartifyError
]


def words_of(item) -> str:
    return " ".join(item[0])


def documented_exit_codes() -> dict[str, int]:
    """The tree in the docstring of heartify.errors, which is what users read."""
    codes = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if len(words) > 2 and words[0].endswith("Error") and words[1] == "exit":
            codes[words[0]] = int(words[2])
    return codes


def test_the_command_line_has_every_command_of_the_main_job():
    expected = {
        *("chain start", "deploy", "demo"),
        *(f"hospital {name}" for name in ("init", "publish", "broker run", "grant", "revoke", "status")),
        *(f"lab {name}" for name in ("init", "catalogue", "plan", "quote", "run", "status", "open", "verify")),
        *(f"pool {name}" for name in ("init", "start", "status")),
        *(f"account {name}" for name in ("show", "deposit", "withdraw")),
    }

    found = {words_of(item) for item in COMMANDS}

    assert expected <= found


@pytest.mark.parametrize("item", COMMANDS, ids=words_of)
def test_every_command_has_help_with_an_example_of_itself(item, capsys):
    words, _ = item

    code = main([*words, "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert f"Example: heartify {' '.join(words)}" in shown


@pytest.mark.parametrize("item", COMMANDS, ids=words_of)
def test_every_option_of_every_command_is_explained(item):
    _, command = item

    unexplained = [parameter.name for parameter in command.params if parameter.name != "help" and not parameter.help]

    assert unexplained == []


@pytest.mark.parametrize("item", COMMANDS, ids=words_of)
def test_no_command_takes_a_password_or_key_in_argv(item):
    _, command = item

    spelled = {option for parameter in command.params for option in parameter.opts}

    secret = {o for o in spelled if any(word in o for word in ("password", "secret", "private", "seed"))}
    assert secret <= {"--password-file", "--sql-password-file"}


def test_key_broker_starts_without_what_reads_and_encrypts_cohorts():
    code = (
        "import sys; from heartify.cli.main import build_app; build_app('hospital', 'broker'); "
        "sys.exit(bool({'pyarrow', 'scipy', 'heartify.hospital.hospital'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_heartify_alone_prints_help_and_succeeds(capsys):
    code = main([])

    shown = capsys.readouterr()
    assert code == 0
    assert "hospital" in shown.out
    assert "lab" in shown.out
    assert shown.err == ""


def test_a_group_alone_prints_its_commands(capsys):
    code = main(["hospital"])

    assert code == 2
    assert "publish" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["lab", "frobnicate"],
        ["lab", "status", "--frobnicate"],
        ["lab", "run"],
        ["hospital", "grant", "0x12", "--price", "1", "--uses", "many"],
        ["account", "show", "--home"],
    ],
)
def test_wrong_command_line_exits_with_2_and_says_what_is_wrong(arguments, capsys):
    code = main(arguments)

    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith("heartify: ")
    assert "Traceback" not in shown.err


def test_wrong_command_line_with_json_is_one_document(capsys):
    code = main(["lab", "status", "--frobnicate", "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 2
    assert document["error"] == "UsageError"
    assert document["exit_code"] == 2
    assert "--frobnicate" in document["message"]


@pytest.mark.parametrize(
    ("arguments", "error", "exit_code"),
    [
        (["lab", "status", "0x" + "11" * 32, "--home", "nowhere"], "UsageError", 2),
        (["lab", "catalogue", "--home", "nowhere"], "InputError", 3),
        (["lab", "verify", "nothing.json", "--home", "nowhere"], "UsageError", 2),
        (["hospital", "status", "--home", "nowhere"], "UsageError", 2),
        (["hospital", "revoke", "--home", "nowhere"], "UsageError", 2),
        (["account", "show", "--home", "nowhere"], "InputError", 3),
        (["demo", "--data", "nowhere"], "InputError", 3),
    ],
)
def test_refusal_with_json_is_one_document_with_its_exit_code(
    arguments, error, exit_code, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)

    code = main([*arguments, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == exit_code
    assert document["error"] == error
    assert document["exit_code"] == exit_code
    assert set(document) == {"error", "message", "hint", "exit_code"}


def test_refusal_without_json_leaves_stdout_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    code = main(["lab", "catalogue", "--home", "nowhere"])

    shown = capsys.readouterr()
    assert code == 3
    assert shown.out == ""
    assert "heartify: the deployment" in shown.err
    assert "hint: " in shown.err


@pytest.mark.parametrize("kind", ERROR_CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_class_ends_the_command_with_its_documented_code(kind, monkeypatch, tmp_path, capsys):
    def refuse(_home):
        raise kind("it says no", hint="do this")

    monkeypatch.setattr("heartify.cli.account.account_balance", refuse)

    code = main(["account", "show", "--home", str(tmp_path), "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == documented_exit_codes()[kind.__name__] == document["exit_code"]
    assert document["error"] == kind.__name__
    assert document["hint"] == "do this"


def test_interrupted_command_exits_with_130(monkeypatch, tmp_path):
    def interrupt(_home):
        raise KeyboardInterrupt

    monkeypatch.setattr("heartify.cli.account.account_balance", interrupt)

    assert main(["account", "show", "--home", str(tmp_path)]) == 130


def test_error_after_a_document_keeps_stdout_one_document(capsys):
    with pytest.raises(typer.Exit) as ended, after_document():
        raise errors.DisclosureError("withheld: disclosure code 3", hint="see the report")

    shown = capsys.readouterr()
    assert ended.value.exit_code == 10
    assert shown.out == ""
    assert "withheld: disclosure code 3" in shown.err


def test_messages_are_printed_as_text_and_not_as_markup(capsys):
    show_error(errors.InputError("[bold]column[/bold] [red]x"), as_json=False)

    assert "[bold]column[/bold] [red]x" in capsys.readouterr().err


def test_password_comes_from_the_file_that_the_environment_names(monkeypatch, tmp_path, capsys):
    password_file = tmp_path / "password"
    password_file.write_text("s3cr3t\n")
    monkeypatch.setenv("HEARTIFY_PASSWORD_FILE", str(password_file))

    code = main(["pool", "init", "--deployment", "nothing.json", "--home", str(tmp_path / "pool"), "--json"])

    shown = capsys.readouterr()
    assert code == 11
    assert "s3cr3t" not in shown.out + shown.err
    assert not (tmp_path / "pool").exists()


def test_acceptance_of_a_finding_without_a_reason_is_a_usage_error(tmp_path, capsys):
    code = main(
        ["hospital", "publish", "x.csv", "--dictionary", "d.toml", "--accept", "unit:age", "--home", str(tmp_path)]
    )

    assert code == 2
    assert "has no reason" in capsys.readouterr().err


def test_store_of_a_hospital_is_kept_as_an_absolute_path():
    from heartify.cli.hospital import _absolute_store

    assert Path(_absolute_store("./store")).is_absolute()
    assert _absolute_store("s3://bucket/store") == "s3://bucket/store"


def test_documents_are_printed_as_they_are_defined(capsys):
    from heartify.cli.output import show

    show({"amount": "12"}, as_json=True, human=lambda _console: None)

    assert msgspec.json.decode(capsys.readouterr().out) == {"amount": "12"}
