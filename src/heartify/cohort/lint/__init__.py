"""Doubts about a cohort before it is published: units, classic faults, identifiers; decided upon in writing."""
