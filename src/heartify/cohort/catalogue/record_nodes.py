"""The parts that catalogue records are made of: agents, contacts, distributions, periods, literals. JSON-LD objects.

Each takes what the steward said and returns a node; what wasn't said isn't there. Only prefixes of
`vocabulary.CONTEXT` are used, so that the record means the same without fetching a context from anywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from heartify.cohort.catalogue.vocabulary import EHDS_REGULATION, FILE_TYPE, MEDIA_TYPE
from heartify.cohort.steward_dictionary import Organisation

Node = dict[str, object]


def link(iri: str) -> Node:
    """Return a reference to another resource."""
    return {"@id": iri}


def english(text: str) -> Node:
    """Return a text of ours, which is English; a steward's texts are in whatever language he wrote."""
    return {"@language": "en", "@value": text}


def typed(value: str, datatype: str) -> Node:
    """Return a literal of an XML Schema datatype."""
    return {"@type": f"xsd:{datatype}", "@value": value}


def count(number: int) -> Node:
    """Return a number of things."""
    return typed(str(number), "nonNegativeInteger")


def day(date: dt.date) -> Node:
    """Return a date."""
    return typed(date.isoformat(), "date")


def without_gaps(fields: Iterable[tuple[str, object]]) -> Node:
    """Return the fields that say something: not None, not an empty text or list."""
    return {key: value for key, value in fields if value not in (None, "", [])}


def agent(organisation: Organisation) -> Node:
    """Return a publisher or health data access body with its contact point (Core Public Service Vocabulary)."""
    contact = without_gaps(
        (
            ("cv:email", organisation.email),
            ("cv:contactPage", link(organisation.url) if organisation.url else None),
        )
    )
    return without_gaps(
        (
            ("@type", "foaf:Agent"),
            ("foaf:name", organisation.name),
            ("cv:contactPoint", {"@type": "cv:ContactPoint", **contact} if contact else None),
        )
    )


def contact_point(organisation: Organisation) -> Node:
    """Return whom to ask about the dataset (vCard)."""
    return without_gaps(
        (
            ("@type", "vcard:Kind"),
            ("vcard:fn", organisation.name),
            ("vcard:hasEmail", link(f"mailto:{organisation.email}") if organisation.email else None),
            ("vcard:hasURL", link(organisation.url) if organisation.url else None),
        )
    )


def file_distribution(title: str, description: str, *, file: str, file_type: str, media_type: str) -> Node:
    """Return a document that lies beside the record, addressed relative to it: it moves where the version moves."""
    return {
        "@type": "dcat:Distribution",
        "dct:title": english(title),
        "dct:description": english(description),
        "dcat:accessURL": link(file),
        "dcat:downloadURL": link(file),
        "dct:format": link(FILE_TYPE + file_type),
        "dcat:mediaType": link(MEDIA_TYPE + media_type),
        "dcatap:applicableLegislation": link(EHDS_REGULATION),
    }


def period(start: dt.date | None, end: dt.date | None) -> Node | None:
    """Return a period of time, open where a date isn't given; None without either."""
    if start is None and end is None:
        return None
    return without_gaps(
        (
            ("@type", "dct:PeriodOfTime"),
            ("dcat:startDate", day(start) if start else None),
            ("dcat:endDate", day(end) if end else None),
        )
    )
