"""Find columns whose name announces a direct identifier: names, contact data, addresses, record numbers, birth dates.

By whole words of the column's name, in English, German, French, Spanish, Italian, Portuguese, Dutch and the Nordic
languages as far as the words have no clinical meaning. Columns of role `id` are exempt: they are never written.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from heartify.cohort.lint.findings import Finding
from heartify.protocol.column_naming import words_of
from heartify.protocol.dictionary import Column

LEAVE_OUT = "leave the column out, or give it the role id (ids are not written)"

_WORDS = {
    "name": "name names surname firstname lastname forename initials maidenname fullname nachname vorname "
    "familienname geburtsname prenom patronyme apellido apellidos nombre nombres cognome nominativo sobrenome "
    "voornaam achternaam fornavn efternavn etternavn fornamn efternamn",
    "contact": "email mail phone telephone tel mobile fax url website homepage telefon handy telefono telefone "
    "courriel correo telefoon puhelin ip ipaddress",
    "address": "address street city town zip zipcode postcode postal plz gps latitude longitude geocode "
    "adresse strasse hausnummer wohnort postleitzahl codepostal calle direccion ciudad indirizzo citta endereco "
    "straat woonplaats adres gatuadress postnummer",
    "record-number": "id ids pid mrn ssn nhs nhsnumber passport license licence iban insurance uuid patientid "
    "subjectid patientnumber recordnumber casenumber patientennummer fallnummer versichertennummer "
    "krankenversicherung ahv ahvnr bsn nir dni nif curp codicefiscale personnummer personnumer fodselsnummer "
    "cpf pesel hetu aadhaar accession plate fingerprint",
    "birth-date": "dob birthdate birthday geburtsdatum geburtstag naissance nacimiento nascita nascimento "
    "geboortedatum fodselsdato",
}
_PAIRS = {
    ("date", "birth"): "birth-date",
    ("birth", "date"): "birth-date",
    ("birth", "day"): "birth-date",
    ("social", "security"): "ssn",
    ("patient", "number"): "record-number",
    ("record", "number"): "record-number",
    ("case", "number"): "record-number",
    ("medical", "record"): "record-number",
    ("account", "number"): "record-number",
    ("house", "number"): "address",
    ("code", "postal"): "address",
    ("device", "serial"): "record-number",
}


def lint_name(column: Column) -> Iterator[Finding]:
    """Yield a finding for each kind of identifier that a column's name announces."""
    words = words_of(column.name)
    kinds = [kind for kind, listed in _WORDS.items() if set(words) & set(listed.split())]
    significant = [word for word in words if word not in {"of", "de", "the"}]
    kinds += [_PAIRS[pair] for pair in itertools.pairwise(significant) if pair in _PAIRS]
    for kind in dict.fromkeys(kinds):
        yield Finding(f"identifier-{kind}", column.name, "its name announces a direct identifier", LEAVE_OUT)
