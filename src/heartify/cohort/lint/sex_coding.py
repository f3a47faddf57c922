"""Find a sex column whose codes are exchanged: those labelled women taller than those labelled men, and so on.

Compares means of quantities that differ between the sexes in every population. It needs labels that say which level is
female, and evidence far beyond chance, because an accusation that is wrong teaches stewards to ignore it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heartify.cohort.lint.batch_view import Mask, Numbers
from heartify.cohort.lint.findings import Finding
from heartify.cohort.lint.quasi_identifiers import is_sex
from heartify.cohort.lint.watch import Seen
from heartify.protocol.column_naming import words_of
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plausible_ranges import declared_range, quantity_of

MIN_EACH_SEX = 30
"""Fewer patients of one sex don't settle it."""
FLIPPED_Z = 6.0
"""One in a billion by chance, so that thousands of cohorts raise no false alarm."""
FLIPPED_DIFFERENCE = 0.2
"""In standard deviations: a huge cohort makes any small difference significant."""
RIGHT_Z = 3.0
"""A more telling quantity that lies the right way around acquits the coding."""

_FEMALE_WORDS = (
    "female females woman women girl f w fem weiblich frau femme femenino feminino mujer femmina donna "
    "vrouw vrouwelijk kvinna kvinde kobieta 8532 248152002"
)
_MALE_WORDS = (
    "male males man men boy m masc männlich maennlich mann homme masculin masculino hombre maschio uomo "
    "mannelijk mand mężczyzna 8507 248153007"
)
_FEMALE, _MALE = frozenset(_FEMALE_WORDS.split()), frozenset(_MALE_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Telling:
    """A quantity that tells the sexes apart: who has more of it, and the words of column names that mean it."""

    quantity: str
    higher_in_men: bool
    words: frozenset[str]


# The most telling first (differences of about 1.8, 1.4, 0.6, 0.6 and 0.7 standard deviations between adults).
_TELLING = (
    _Telling("body height", True, frozenset({"height", "stature"})),
    _Telling("hemoglobin", True, frozenset({"hemoglobin", "haemoglobin"})),
    _Telling("HDL cholesterol", False, frozenset({"hdl"})),
    _Telling("creatinine", True, frozenset({"creatinine"})),
    _Telling("body weight", True, frozenset({"weight"})),
)
_NOT_THE_QUANTITY = frozenset({"ratio", "birth", "change", "loss", "gain", "urine", "ldl", "non", "group", "category"})


def lint_sex_coding(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each sex column whose labels seem to be exchanged."""
    for column in dictionary.published_columns:
        if not is_sex(column):
            continue
        masks = _sexes(column, seen.sample.numbers(column.name))
        if masks is None:
            continue
        against = _quantities_against(dictionary, seen, *masks)
        if against:
            yield Finding(
                "sex-coding-flipped",
                column.name,
                f"{' and '.join(against)} differ between the sexes the wrong way around",
                "check which code means female, in the data and in the labels",
            )


def _sexes(column: Column, values: Numbers) -> tuple[Mask, Mask] | None:
    """Return which rows are labelled female and which male; None when the labels don't say it."""
    if column.datatype == "category":
        female = [number for number, level in enumerate(column.levels) if _is_said(level.code, level.label, _FEMALE)]
        male = [number for number, level in enumerate(column.levels) if _is_said(level.code, level.label, _MALE)]
        if len(female) != 1 or len(male) != 1 or female == male:
            return None
        return values == female[0], values == male[0]
    words = set(words_of(column.name))
    if len(words & {"male", "female"}) != 1 or not np.all(np.isnan(values) | np.isin(values, (0, 1))):
        return None
    # A column 'male' of 0 and 1 says it by its name.
    return (values == 0, values == 1) if "male" in words else (values == 1, values == 0)


def _is_said(code: str, label: str, words: frozenset[str]) -> bool:
    """Tell whether the label, or the code where the label says nothing of it, is a word for the sex."""
    label_words = set(label.casefold().replace("(", " ").replace(")", " ").replace("/", " ").split())
    if label_words & (_FEMALE | _MALE):
        return bool(label_words & words)
    return code.casefold() in words


def _quantities_against(dictionary: DataDictionary, seen: Seen, female: Mask, male: Mask) -> list[str]:
    """Return the quantities that speak against the labels, unless a more telling one speaks for them."""
    against: list[str] = []
    for telling in _TELLING:
        for column in _columns_of(dictionary, telling):
            values = _possible_values(column, seen.sample.numbers(column.name))
            z, difference = _compare(values[male], values[female])
            if not telling.higher_in_men:
                z, difference = -z, -difference
            if z > RIGHT_Z:
                return against
            if z < -FLIPPED_Z and difference < -FLIPPED_DIFFERENCE:
                against.append(telling.quantity)
    return list(dict.fromkeys(against))


def _columns_of(dictionary: DataDictionary, telling: _Telling) -> Iterator[Column]:
    for column in dictionary.published_columns:
        if column.datatype not in {"number", "integer"}:
            continue
        words = set(words_of(column.name))
        if column.loinc is not None:
            if quantity_of(column.loinc) == telling.quantity:
                yield column
        elif words & telling.words and not words & _NOT_THE_QUANTITY:
            yield column


def _possible_values(column: Column, values: Numbers) -> Numbers:
    """Return the values with impossible ones missing, so that a few typing errors don't hide the difference."""
    declared = declared_range(column)
    if declared is None:
        return values
    return np.where((values >= declared.value[0]) & (values <= declared.value[1]), values, np.nan)


def _compare(men: Numbers, women: Numbers) -> tuple[float, float]:
    """Return Welch's z of the difference of means, men less women, and the difference in standard deviations."""
    men, women = men[~np.isnan(men)], women[~np.isnan(women)]
    if min(len(men), len(women)) < MIN_EACH_SEX:
        return 0.0, 0.0
    variances = float(men.var(ddof=1)), float(women.var(ddof=1))
    error = np.sqrt(variances[0] / len(men) + variances[1] / len(women))
    if error == 0:
        return 0.0, 0.0
    difference = float(men.mean() - women.mean())
    return float(difference / error), float(difference / np.sqrt((variances[0] + variances[1]) / 2))
