"""`heartify hospital broker` as a group: alone it is the service, and options before a subcommand are refused."""

from __future__ import annotations

import pytest

from heartify.cli.main import build_app, main


def test_the_group_alone_runs_the_service(tmp_path, capsys):
    code = main(["hospital", "broker", "--home", str(tmp_path / "none")])

    assert code == 2
    assert "heartify hospital init" in capsys.readouterr().err  # it looked for the home's settings


def test_run_is_the_service_too(tmp_path, capsys):
    code = main(["hospital", "broker", "run", "--home", str(tmp_path / "none")])

    assert code == 2
    assert "heartify hospital init" in capsys.readouterr().err


def test_an_option_before_a_subcommand_is_refused_rather_than_unheard(tmp_path, capsys):
    code = main(["hospital", "broker", "--home", str(tmp_path / "first"), "run", "--home", str(tmp_path / "second")])

    shown = capsys.readouterr().err
    assert code == 2
    assert "--home stands before `run`" in shown
    assert "options go after the subcommand" in shown


def test_an_unknown_subcommand_is_refused(capsys):
    code = main(["hospital", "broker", "frobnicate"])

    assert code == 2
    assert "frobnicate" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [("hospital",), ("hospital", "broker")])
def test_the_group_is_the_same_with_the_hospital_group_and_without(wanted):
    def names(app):
        import typer

        found = typer.main.get_command(app).commands["hospital"].commands["broker"]
        return sorted(found.commands)

    assert names(build_app(*wanted)) == names(build_app())
