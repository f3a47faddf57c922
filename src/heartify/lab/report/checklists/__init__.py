"""The reporting guidelines TRIPOD+AI and STROBE, filled from the plan and the result of one study."""

from collections.abc import Mapping

from heartify.lab.report.checklists.checklist import Checklist, ChecklistRow, GuidelineItem, Place, fill_checklist
from heartify.lab.report.checklists.strobe import STROBE
from heartify.lab.report.checklists.tripod_ai import TRIPOD_AI

__all__ = ["STROBE", "TRIPOD_AI", "Checklist", "ChecklistRow", "GuidelineItem", "Place", "build_checklists"]


def build_checklists(present: Mapping[str, str]) -> tuple[Checklist, ...]:
    """Return both lists; `present` maps the anchors of the report to the titles of its sections and tables."""
    return (
        fill_checklist("tripod-ai", "TRIPOD+AI 2024", TRIPOD_AI, present),
        fill_checklist("strobe", "STROBE", STROBE, present),
    )
