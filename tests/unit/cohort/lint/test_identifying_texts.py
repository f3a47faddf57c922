from __future__ import annotations

import pytest

from heartify.cohort.lint.identifying_texts import identifying_kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann@example.org", "email"),
        ("https://example.org/ann", "url"),
        ("www.example.org", "url"),
        ("192.168.0.17", "ip"),
        ("2001:db8::17", "ip"),
        ("GB82 WEST 1234 5698 7654 32", "iban"),
        ("DE89370400440532013000", "iban"),
        ("219-09-9999", "ssn"),
        ("756.9217.0769.85", "ahv"),
        ("7569217076985", "ahv"),
        ("943 476 5919", "nhs"),
        ("1950-01-03", "date"),
        ("03.01.1950", "date"),
        ("3/1/50", "date"),
        ("+49 151 1234567", "phone"),
        ("030-1234567", "phone"),
        ("(030) 123 45 67", "phone"),
        ("SW1A 1AA", "postcode"),
        ("10115", "postcode"),
        ("94103-1234", "postcode"),
        ("Anna Müller", "person"),
    ],
)
def test_an_identifying_text_is_recognised(text: str, kind: str) -> None:
    assert identifying_kind(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "449868002",  # SNOMED CT: current every day smoker
        "266919005",
        "8532",
        "I25.1",
        "1000-1999",
        "60-69",
        "never",
        "ex smoker",
        "GB82 WEST 1234 5698 7654 33",  # wrong check digits
        "756.9217.0769.86",
        "912-34-56",
        "1.2.3.999",
        "NYHA II",
        "< 50 %",
    ],
)
def test_a_code_or_clinical_word_is_not(text: str) -> None:
    assert identifying_kind(text) is None


def test_a_number_in_groups_is_a_state_number_only_with_its_check_digit() -> None:
    assert identifying_kind("943 476 5918") == "phone"
