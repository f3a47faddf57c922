"""What form a text of a source has: missing, whole number, number, truth value, date, or something else. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["whole", "decimal", "date", "moment", "text"]

MISSING_WORDS = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", ".", "-", "--", "*", "missing", "n.a.", "k.a.", "<na>"}
)
"""Texts that mean "not known" in files of every origin, in small letters."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(?:\.0+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}(?:[.,][0-9]+)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*"
    r"|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})(?: .*)?"
    r"|[0-9]{1,2}:[0-9]{2}.*",
    re.ASCII,
)
_EXACT_PLACES = 15


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of one text; `value` of a number, and the decimal `places` that it is written with."""

    form: Form
    value: float = math.nan
    places: int = 0
    has_comma: bool = False
    has_leading_zero: bool = False


def is_missing_word(text: str) -> bool:
    """Tell whether a text means "not known" wherever it stands."""
    return text.lower() in MISSING_WORDS


def form_of(text: str) -> TextForm:
    """Return the form of a text that is not missing."""
    if _WHOLE.fullmatch(text):
        digits = text.lstrip("+-")
        return TextForm("whole", float(text), 0, has_leading_zero=digits[0] == "0" and digits[1:2].isdigit())
    if _DECIMAL.fullmatch(text):
        return _number(text)
    if _DATE.fullmatch(text):
        return TextForm("date" if _is_date(text) else "text")
    return TextForm("moment" if len(text) <= 40 and _MOMENT.fullmatch(text) else "text")


def _number(text: str) -> TextForm:
    value = float(text.replace(",", "."))
    if not math.isfinite(value):
        return TextForm("text")
    mantissa, _, exponent = text.lower().partition("e")
    fraction = mantissa.replace(",", ".").partition(".")[2].rstrip("0")
    places = max(0, len(fraction) - int(exponent or 0))
    return TextForm("decimal", value, min(places, _EXACT_PLACES), "," in text)


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True
