"""Recognise texts that identify somebody: e-mail, phone, web and IP address, dates, postcodes, state numbers, names.

Numbers with a check digit are verified, so that codes of a terminology are not taken for them. Pure; a text that was
recognised is never shown, only what kind of thing it looks like.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?")
_SSN = re.compile(r"(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}")
_AHV = re.compile(r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}")
_NHS = re.compile(r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}")
_PHONE = re.compile(r"[+0(][0-9 ()/.-]{6,}[0-9]|[0-9]{2,5}[ /-][0-9][0-9 ()/.-]{4,}[0-9]")
_SPAN = re.compile(r"([0-9]+) ?[-/] ?([0-9]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})")
_POSTCODE = re.compile(r"[A-Za-z]{1,2}[0-9][0-9A-Za-z]? ?[0-9][A-Za-z]{2}|[0-9]{5}(?:-[0-9]{4})?")
_PERSON = re.compile(r"[A-Z][a-zäöüéèáíóúñç'-]+,? (?:[A-Z]\.? )?[A-Z][a-zäöüéèáíóúñç'-]+")


def identifying_kind(text: str) -> str | None:
    """Return the first kind of identifier that the whole text looks like, None for none."""
    return next((kind for kind, looks_like in _KINDS if looks_like(text)), None)


def _is_iban(text: str) -> bool:
    """Tell whether it is an account number with right check digits (ISO 13616, ISO 7064 mod 97-10)."""
    if not _IBAN.fullmatch(text):
        return False
    letters = text.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


def _is_ahv(text: str) -> bool:
    """Tell whether it is a Swiss insurance number: EAN-13 that begins with 756."""
    digits = [int(letter) for letter in text if letter.isascii() and letter.isdigit()]
    return bool(_AHV.fullmatch(text)) and sum(d * (1 + 2 * (i % 2)) for i, d in enumerate(digits)) % 10 == 0


def _is_nhs(text: str) -> bool:
    """Tell whether it is a British NHS number: modulus 11 (NHS Data Dictionary), written in groups."""
    if not _NHS.fullmatch(text):
        return False
    digits = [int(letter) for letter in text if letter.isdigit()]
    return (11 - sum(d * (10 - i) for i, d in enumerate(digits[:9])) % 11) % 11 == digits[9]


def _is_ip(text: str) -> bool:
    if text.count(".") != 3 and text.count(":") < 2:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    """Tell whether it is a phone number, and not a span of numbers such as '1000-1999' or a plain code."""
    span = _SPAN.fullmatch(text)
    if span and len(span[1]) == len(span[2]) and not text.startswith("0"):
        return False
    return bool(_PHONE.fullmatch(text)) and sum(letter.isdigit() for letter in text) >= 7


_KINDS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("email", _EMAIL.fullmatch),
    ("url", _URL.fullmatch),
    ("ip", _is_ip),
    ("iban", _is_iban),
    ("ssn", _SSN.fullmatch),
    ("ahv", _is_ahv),
    ("nhs", _is_nhs),
    ("date", _DATE.fullmatch),
    ("phone", _is_phone),
    ("postcode", _POSTCODE.fullmatch),
    ("person", _PERSON.fullmatch),
)
