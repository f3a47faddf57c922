"""Every link leads somewhere, the README keeps its form, and reference pages say what the code says."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from heartify import errors

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def cli_reference(project: Path) -> ModuleType:
    """The tool that makes the page of the command line; it isn't part of the package."""
    spec = importlib.util.spec_from_file_location("cli_reference", project / "tools" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def commands(cli_reference: ModuleType) -> dict[str, Any]:
    """Every command by its name, such as `lab run`."""
    return {" ".join(path): command for path, command in cli_reference.all_commands()}


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ +(.+)$", _CODE_FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return set(plain)


def links(page: Path) -> list[str]:
    found = _LINK.findall(_CODE_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def problem_of(page: Path, link: str) -> str | None:
    target, _, anchor = link.partition("#")
    path = page if not target else (page.parent / target).resolve()
    if not path.exists():
        return f"{page.name}: {link} leads nowhere"
    if anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
        return f"{page.name}: {link} has no such heading"
    return None


def test_every_link_of_every_page_leads_somewhere(markdown_files: list[Path]) -> None:
    problems = [problem for page in markdown_files for link in links(page) if (problem := problem_of(page, link))]

    assert problems == []


def test_a_link_to_nothing_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](gone.md) [b](#one) [c](#two) [d](page.md#one) [e](https://example.org)\n")

    problems = [problem_of(page, link) for link in links(page)]

    assert problems == ["page.md: gone.md leads nowhere", None, "page.md: #two has no such heading", None]


def test_every_page_is_reached_from_the_index(project: Path) -> None:
    reached: set[Path] = set()
    waiting = [project / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
        waiting += [path for path in targets if path.suffix == ".md" and path.exists() and path not in reached]

    assert [page for page in sorted((project / "docs").rglob("*.md")) if page not in reached] == []


def test_the_readme_is_short_and_starts_with_the_two_commands(project: Path) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) < 100
    assert re.findall(r"^make \w+", text, re.MULTILINE)[:2] == ["make demo", "make test"]
    assert text.index("make demo") < text.index("## ")
    assert text.count("![") == 1
    assert "protects nothing from the administrator" in text


def test_the_page_of_the_command_line_is_current(project: Path, cli_reference: ModuleType) -> None:
    page = (project / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")

    assert page == cli_reference.render(), "run python -m tools.cli_reference"


def test_every_command_and_option_is_on_the_page(project: Path, commands: dict[str, Any]) -> None:
    page = (project / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")

    assert len(commands) >= 25
    for path, command in commands.items():
        section = page.partition(f"## heartify {path}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            for name in parameter.opts if parameter.param_type_name == "option" else ():
                assert name == "--help" or f"`{name}`" in section, f"{path} {name}"


@pytest.mark.parametrize("pages", ["README.md", "docs/how-to", "docs/tutorial", "docs/security"])
def test_commands_in_the_pages_exist_with_their_options(project: Path, commands: dict[str, Any], pages: str) -> None:
    start = project / pages
    texts = [page.read_text(encoding="utf-8") for page in ([start] if start.is_file() else sorted(start.glob("*.md")))]
    shown = [line for text in texts for line in _commands_in(text)]

    for line in shown:
        words = shlex.split(line, comments=True)
        name = next((" ".join(words[1:n]) for n in (4, 3, 2) if " ".join(words[1:n]) in commands), None)
        assert name is not None, line
        options = {option for parameter in commands[name].params for option in parameter.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, line
    assert shown or pages == "docs/security"


def test_every_error_class_is_on_its_page_with_its_exit_code(project: Path) -> None:
    page = (project / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    family = [item for item in vars(errors).values() if isinstance(item, type) and item.__module__ == errors.__name__]

    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE))

    assert rows == {item.__name__: str(item.exit_code) for item in family}


def test_the_units_start_commands_that_exist(project: Path, commands: dict[str, Any]) -> None:
    units = sorted((project / "deploy" / "systemd").glob("*.service"))

    for unit in units:
        settings = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE))
        words = settings["ExecStart"].split()
        assert {" ".join(words[1:3]), " ".join(words[1:4])} & set(commands), unit.name
        assert settings["NoNewPrivileges"] == "yes"
        assert settings["ProtectSystem"] == "strict"
        assert settings["LimitCORE"] == "0"
        assert settings["CapabilityBoundingSet"] == ""
        assert settings["LoadCredential"].startswith("password:")
        assert settings["Environment"] == "HEARTIFY_PASSWORD_FILE=%d/password"
    assert [unit.name for unit in units] == ["heartify-broker@.service", "heartify-pool.service"]


def test_every_decision_is_in_the_list_under_its_title(project: Path) -> None:
    folder = project / "docs" / "adr"
    listed = dict(re.findall(r"^\| \[\d{4}\]\(([^)]+)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE))

    titles = {
        page.name: re.sub(r"^# 0*\d+[.:] ", "", page.read_text().partition("\n")[0]) for page in folder.glob("0*.md")
    }

    assert listed == titles


def _commands_in(text: str) -> list[str]:
    """Return the heartify commands in fences, continued lines joined, and whole commands in inline code."""
    fences = "\n".join(re.findall(r"^```(?:bash[^\n]*)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = fences.replace("\\\n", " ").splitlines()
    starts = [line.strip().removeprefix(".venv/bin/") for line in lines]
    return [re.sub(r"[>&…].*$", "", line) for line in starts if re.match(r"heartify \w", line)]
