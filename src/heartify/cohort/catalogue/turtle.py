"""A catalogue record as Turtle, the form that people read and data portals take.

Reads only records of the kind that `health_record` writes: one object, prefixes of our own context, no lists. The bytes
are not trusted: an identifier that could break out of its brackets is refused. Nothing is fetched from anywhere.

Source: RDF 1.1 Turtle, W3C Recommendation 2014, sections 2 and 6.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from heartify.cohort.catalogue.vocabulary import CONTEXT
from heartify.errors import DocumentError
from heartify.protocol.canonical import parse_json

_NAME = re.compile(r"([a-z]+):[A-Za-z][A-Za-z0-9]*")
_IRI = re.compile(r"[^\x00-\x20<>\"{}|^`\\]+")
_LANGUAGE = re.compile(r"[A-Za-z]+(?:-[A-Za-z0-9]+)*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def to_turtle(record: bytes) -> str:
    """Return a catalogue record in Turtle.

    Raises DocumentError when it is not a record of ours.
    """
    document = parse_json(record, dict[str, Any])
    if document.pop("@context", None) != CONTEXT:
        raise DocumentError("this is no catalogue record of Heartify: its context is another one")
    prefixes = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in sorted(CONTEXT.items()))
    subject = _iri(document.pop("@id", None))
    return f"{prefixes}\n{subject}\n" + " ;\n".join(_statements(document, 1)) + " .\n"


def _statements(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield one predicate with its objects a line, the type first."""
    indent = "    " * depth
    for key in sorted(node, key=lambda name: (name != "@type", name)):
        values = node[key] if isinstance(node[key], list) else [node[key]]
        if key == "@type":
            yield f"{indent}a {', '.join(_name(value) for value in values)}"
        else:
            yield f"{indent}{_name(key)} {', '.join(_object(value, depth) for value in values)}"


def _object(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _literal(value)
    if not isinstance(value, Mapping) or not value:
        raise DocumentError("the catalogue record holds something else than texts and objects")
    if "@value" in value:
        return _literal(value["@value"]) + _suffix(value)
    if value.keys() == {"@id"}:
        return _iri(value["@id"])
    return "[\n" + " ;\n".join(_statements(value, depth + 1)) + "\n" + "    " * depth + "]"


def _suffix(value: Mapping[str, Any]) -> str:
    if "@type" in value:
        return "^^" + _name(value["@type"])
    language = value.get("@language", "en")
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        raise DocumentError("the catalogue record has a malformed language tag")
    return f"@{language}"


def _literal(text: Any) -> str:
    if not isinstance(text, str):
        raise DocumentError("the catalogue record has a literal that is no text")
    return f'"{text.translate(_ESCAPES)}"'


def _name(name: Any) -> str:
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or match[1] not in CONTEXT:
        raise DocumentError("the catalogue record has a name outside its context")
    return match[0]


def _iri(iri: Any) -> str:
    if not isinstance(iri, str) or not _IRI.fullmatch(iri):
        raise DocumentError("the catalogue record has a malformed identifier")
    return f"<{iri}>"
