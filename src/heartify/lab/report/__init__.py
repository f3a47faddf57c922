"""The lab's report of one deal: a single HTML file for people, made from documents that were opened and verified."""

from heartify.lab.report.page import render_report

__all__ = ["render_report"]
