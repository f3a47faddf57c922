"""What a column's name says about its role: an identifier of a person, an outcome, a time, sex. Guesses, pure.

Which names announce an identifier is the linter's list, so that a draft doesn't propose what publishing would doubt.
"""

from __future__ import annotations

import itertools

from heartify.cohort.describing.name_words import name_words
from heartify.cohort.describing.name_words import words as listed
from heartify.cohort.lint.identifying_names import lint_name
from heartify.protocol.dictionary import Column

_ID_NAMES = listed("patient subject person paciente proband fall case nr index rownames seqn uid patnr")
_FREE_TEXT = listed("comment comments remark remarks note notes freetext bemerkung kommentar befund anamnese")
_KINDS = {
    "identifier-name": "a person's name",
    "identifier-contact": "contact data",
    "identifier-address": "an address or postcode",
    "identifier-birth-date": "a date of birth",
    "identifier-ssn": "an official number",
}
_OUTCOME = listed(
    "outcome target event death dead died deceased mortality fstat exitus verstorben gestorben muerte fallecido deces "
    "status endpoint cardio num label zielereignis"
)
_OUTCOME_PAIRS = frozenset({("year", "chd"), ("let", "is"), ("chd", "10"), ("death", "event")})
_TIME = listed("time lenfol followup futime survtime t2event tte obstime zeit duration nachbeobachtung")
_TIME_PAIRS = frozenset({("follow", "up"), ("time", "to"), ("days", "to"), ("survival", "time")})
_SEX = listed("sex gender geschlecht sexe sexo genero genre")


def is_id_name(name: str) -> bool:
    """Tell whether a name announces a number that stands for a patient or record."""
    words = name_words(name)
    return words in {(only,) for only in _ID_NAMES} or "identifier-record-number" in _lint_codes(words)


def direct_identifier(name: str) -> str | None:
    """Return which direct identifier or free text a name announces, for people; None when none."""
    words = name_words(name)
    if set(words) & _FREE_TEXT:
        return "free text"
    return next((what for code, what in _KINDS.items() if code in _lint_codes(words)), None)


def is_outcome_name(name: str) -> bool:
    """Tell whether a name announces what a study predicts."""
    words = name_words(name)
    return bool(set(words) & _OUTCOME) or _has_pair(words, _OUTCOME_PAIRS)


def is_time_name(name: str) -> bool:
    """Tell whether a name announces a time of follow-up."""
    words = name_words(name)
    return bool(set(words) & _TIME) or _has_pair(words, _TIME_PAIRS)


def is_sex_name(name: str) -> bool:
    """Tell whether a column is somebody's sex, coded."""
    return bool(set(name_words(name)) & _SEX)


def _has_pair(words: tuple[str, ...], pairs: frozenset[tuple[str, str]]) -> bool:
    return any(pair in pairs for pair in itertools.pairwise(words))


def _lint_codes(words: tuple[str, ...]) -> set[str]:
    """Return what the linter finds in a name made of these words."""
    if not words:
        return set()
    name = ("c_" + "_".join(words))[:64]
    column = Column(name=name, title=name, datatype="number", role="factor")
    return {finding.code for finding in lint_name(column)}
