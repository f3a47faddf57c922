"""The page of the audit log says what the code does: events, details, checks, recipe."""

from __future__ import annotations

import re
from pathlib import Path

from heartify.broker.audit.anchoring import AnchorSchedule
from heartify.broker.audit.cross_check import CLOCK_TOLERANCE_SECONDS
from heartify.broker.audit.details import ALLOWED_DETAILS, MAX_REASON, AuditEvent
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.export import ExportHeader


def section(project: Path, title: str) -> str:
    page = (project / "docs" / "reference" / "audit-log.md").read_text(encoding="utf-8")
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_event_is_listed_with_its_details(project: Path) -> None:
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", section(project, "Events"), re.MULTILINE)
    listed = {event: names_in(details) - {"*"} for events, details in rows for event in names_in(events)}

    assert set(listed) == {event.value for event in AuditEvent}
    for events, details in rows:
        allowed = set().union(*(ALLOWED_DETAILS[AuditEvent(event)] for event in names_in(events)))
        assert allowed == names_in(details) - {"*"}, events


def test_every_field_is_explained(project: Path) -> None:
    assert set(AuditEntry.__struct_fields__) <= names_in(section(project, "An entry"))
    assert set(ExportHeader.__struct_fields__) <= names_in(section(project, "An export"))


def test_the_numbers_are_those_of_the_code(project: Path) -> None:
    schedule = AnchorSchedule()

    assert f"up to {MAX_REASON} characters" in section(project, "Events")
    assert (schedule.seconds, f"after {schedule.entries} new entries or an hour") == (3600, _schedule(project))
    assert f"less than {CLOCK_TOLERANCE_SECONDS // 60} minutes" in section(project, "What is checked")


def _schedule(project: Path) -> str:
    (found,) = re.findall(r"after \d+ new entries or an hour", section(project, "Anchors"))
    return str(found)


def test_the_recipe_is_the_tested_one(project: Path) -> None:
    recipe = "jq -cSj 'del(.digest)' | sha256sum"
    test = (project / "tests" / "unit" / "broker" / "audit" / "test_export.py").read_text(encoding="utf-8")

    assert recipe in section(project, "By hand")
    assert recipe in test
