"""What names of columns mean in cardiovascular cohorts: English, German, French and Spanish, and public data sets.

An entry is a guess about a name and nothing more; `quantities.py` believes it only when the values agree. Ranges and
LOINC codes of the quantities are those of `protocol.plausible_ranges`; the few that stand here have no analyte table.
Words are in small letters without accents; an alias matches where its words stand together in a name.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.cohort.describing.name_words import words as listed
from heartify.protocol.plausible_ranges import RANGES, PlausibleRange


@dataclass(frozen=True, slots=True)
class Known:
    """A quantity by its names. `has_code` is false where its usual LOINC code would say too much (exercise, ICU)."""

    title: str
    quantity: str
    aliases: tuple[tuple[str, ...], ...]
    has_code: bool = True


def _known(title: str, quantity: str, aliases: str, *, has_code: bool = True) -> Known:
    return Known(title, quantity, tuple(tuple(alias.split()) for alias in aliases.split(", ")), has_code)


# More telling entries first: of two aliases of the same length the earlier entry wins.
VOCABULARY = (
    _known("Age", "age", "age, alter, edad, age years, patient age, lebensalter, anos, age at"),
    _known(
        "Systolic blood pressure",
        "systolic blood pressure",
        "sbp, sysbp, sys bp, systolic, systolic bp, ap hi, aphi, trestbps, rrsys, rr sys, systolisch, systolischer, "
        "systolique, sistolica, pas, tas, s ad, bpsys, bp sys, sysabp, tension systolique, bpxsy",
    ),
    _known(
        "Diastolic blood pressure",
        "diastolic blood pressure",
        "dbp, diabp, dia bp, diasbp, diastolic, diastolic bp, ap lo, aplo, rrdia, rr dia, diastolisch, diastolischer, "
        "diastolique, diastolica, pad, tad, d ad, bpdia, bp dia, diasabp, bpxdi",
    ),
    _known(
        "Maximum heart rate", "heart rate", "thalach, max heart rate, maxhr, max hr, heart rate max", has_code=False
    ),
    _known(
        "Heart rate",
        "heart rate",
        "heart rate, heartrate, hr, pulse, puls, pulse rate, herzfrequenz, hf, frequence cardiaque, fc, "
        "frecuencia cardiaca, pouls, pulso, rhr",
    ),
    _known("Body-mass index", "body-mass index", "bmi, body mass index, imc, quetelet"),
    _known(
        "Waist circumference",
        "waist circumference",
        "waist, waist circumference, bauchumfang, taillenumfang, tour de taille, cintura, perimetro abdominal",
    ),
    _known(
        "Body weight", "body weight", "weight, body weight, wt, gewicht, korpergewicht, koerpergewicht, poids, peso"
    ),
    _known(
        "Body height",
        "body height",
        "height, body height, ht, stature, grosse, groesse, korpergrosse, koerpergroesse, taille, talla, altura, "
        "estatura",
    ),
    _known("Non-HDL cholesterol", "non-HDL cholesterol", "non hdl, nonhdl, non hdl cholesterol, non hdl chol, nonhdlc"),
    _known(
        "HDL cholesterol",
        "HDL cholesterol",
        "hdl, hdlc, hdl c, hdl chol, hdl cholesterol, hdl cholesterin, cholesterol hdl, colesterol hdl, hdlchol",
    ),
    _known(
        "LDL cholesterol",
        "LDL cholesterol",
        "ldl, ldlc, ldl c, ldl chol, ldl cholesterol, ldl cholesterin, cholesterol ldl, colesterol ldl, ldlchol",
    ),
    _known(
        "Total cholesterol",
        "total cholesterol",
        "chol, tot chol, totchol, cholesterol, total cholesterol, cholesterol total, tc, tchol, cholesterin, "
        "gesamtcholesterin, colesterol, colesterol total, serum cholesterol",
    ),
    _known(
        "Triglycerides", "triglycerides", "triglycerides, triglyceride, trig, trigs, tg, triglyzeride, trigliceridos"
    ),
    _known(
        "HbA1c", "HbA1c", "hba1c, hb a1c, hba 1 c, hb a 1 c, hba 1c, a1c, a 1 c, hemoglobin a1c, glycated hemoglobin"
    ),
    _known(
        "Glucose",
        "glucose",
        "glucose, gluc, glu, glukose, blutzucker, nuchternblutzucker, bz, glycemie, glycemia, glucosa, glucemia, fpg, "
        "fasting glucose, blood sugar",
    ),
    _known(
        "Creatinine",
        "creatinine",
        "creatinine, creat, crea, cr, crt, scr, kreatinin, krea, creatinina, serum creatinine",
    ),
    _known("Estimated GFR", "estimated GFR", "egfr, gfr, e gfr, dfg, tfg, fge"),
    _known("Urea nitrogen", "urea nitrogen", "bun, urea nitrogen, blood urea nitrogen"),
    _known("Urea", "urea", "urea, harnstoff, uree"),
    _known("Uric acid", "uric acid", "uric acid, urate, harnsaure, harnsaeure, acide urique, acido urico"),
    _known("Bilirubin", "bilirubin", "bilirubin, bili, total bilirubin, bilirrubina, bilirubine"),
    _known("Calcium", "calcium", "calcium, kalzium, calcio"),
    _known("Sodium", "sodium", "sodium, natrium, sodio, na blood, serum sodium, na"),
    _known("Potassium", "potassium", "potassium, kalium, potasio, k blood, serum potassium, k"),
    _known("Hemoglobin", "hemoglobin", "hemoglobin, haemoglobin, hb, hgb, hamoglobin, hemoglobine, hemoglobina"),
    _known("C-reactive protein", "C-reactive protein", "crp, hscrp, hs crp, c reactive protein, pcr"),
    _known("NT-proBNP", "NT-proBNP", "ntprobnp, nt probnp, nt pro bnp, probnp, pro bnp"),
    _known("Urine albumin/creatinine", "urine albumin/creatinine", "uacr, acr, albumin creatinine ratio"),
    _known("Pulse wave velocity", "pulse wave velocity", "pwv, pulse wave velocity, cfpwv"),
    _known("Heart rate variability SDNN", "heart rate variability SDNN", "sdnn"),
    _known("Leukocytes", "leukocytes", "wbc, leukocytes, leucocytes, leukozyten, leucocitos, l blood"),
    _known("Platelets", "platelets", "platelets, plt, thrombozyten, plaquettes, plaquetas"),
    _known("Erythrocyte sedimentation rate", "sedimentation rate", "esr, roe, bsg, vsg"),
    _known("Alanine aminotransferase", "alanine aminotransferase", "alt, alat, sgpt, gpt"),
    _known("Aspartate aminotransferase", "aspartate aminotransferase", "ast, asat, sgot, got"),
    _known(
        "Left ventricular ejection fraction", "ejection fraction", "lvef, ef, ejection fraction, fevi, ejectionfraction"
    ),
    _known("Body temperature", "body temperature", "temperature, temp, temperatur, temperatura, body temperature"),
    _known(
        "Oxygen saturation", "oxygen saturation", "spo 2, spo2, sao2, sao 2, oxygen saturation, sauerstoffsattigung"
    ),
    _known("Respiratory rate", "respiratory rate", "respiratory rate, resp rate, rr, atemfrequenz"),
    _known("ST depression", "ST depression", "oldpeak, st depression"),
    _known(
        "Cigarettes per day",
        "cigarettes per day",
        "cigs per day, cigsperday, cigarettes per day, cigarettes, zigaretten, cigarrillos",
    ),
    _known("Length of stay", "length of stay", "los, length of stay, verweildauer"),
)

# Names that hold a quantity's word and mean something else: a drug, a class, a change, a history.
OTHER_MEANINGS = listed(
    "ratio log ln change delta diff difference percent zscore z score flag category categorie cat group class klasse "
    "stage history hx family fam treatment treated med meds medication drug therapy bin quintile quartile missing "
    "onset event diagnosis prevalent incident target range normal high low elevated date time gap stratum var sd"
)

_OWN_RANGES = (
    PlausibleRange("leukocytes", ("6690-2",), "10*9/L", (3, 20), (0.1, 500)),
    PlausibleRange("platelets", ("777-3",), "10*9/L", (80, 500), (1, 3000)),
    PlausibleRange("sedimentation rate", (), "mm/h", (1, 80), (0, 200)),
    PlausibleRange("alanine aminotransferase", ("1742-6",), "U/L", (8, 200), (0, 20000)),
    PlausibleRange("aspartate aminotransferase", ("1920-8",), "U/L", (8, 200), (0, 20000)),
    PlausibleRange("ejection fraction", (), "%", (20, 75), (3, 95)),
    PlausibleRange("body temperature", ("8310-5",), "Cel", (35, 40), (24, 45)),
    PlausibleRange("body temperature", ("8310-5",), "[degF]", (95, 104), (75, 113)),
    PlausibleRange("oxygen saturation", ("59408-5",), "%", (80, 100), (20, 100)),
    PlausibleRange("respiratory rate", ("9279-1",), "/min", (8, 40), (2, 100)),
    PlausibleRange("ST depression", (), "mm", (0, 4), (-10, 20)),
    PlausibleRange("cigarettes per day", (), "/d", (0, 60), (0, 150)),
    PlausibleRange("length of stay", (), "d", (0, 60), (0, 4000)),
)


def ranges_by_unit(quantity: str) -> tuple[PlausibleRange, ...]:
    """Return what a quantity looks like in each unit that it is known in."""
    return tuple(entry for entry in (*RANGES, *_OWN_RANGES) if entry.quantity == quantity)


def find_known(words: tuple[str, ...]) -> Known | None:
    """Return the entry whose longest alias stands in a name, or None; a name with another meaning has none."""
    if set(words) & OTHER_MEANINGS and not any(tuple(words) in entry.aliases for entry in VOCABULARY):
        return None
    best: Known | None = None
    longest = 0
    for entry in VOCABULARY:
        length = max((_match_length(alias, words) for alias in entry.aliases), default=0)
        if length > longest:
            best, longest = entry, length
    return best


def _match_length(alias: tuple[str, ...], words: tuple[str, ...]) -> int:
    """Return how many letters of a name an alias explains; 0 where it does not stand there.

    One-word aliases of one or two letters ('k', 'hr') must be the whole name.
    """
    letters = len("".join(alias))
    if alias == words or "".join(alias) == "".join(words):
        return letters + 100
    if len(alias) == 1 and letters <= 2:
        return 0
    width = len(alias)
    return letters if any(words[start : start + width] == alias for start in range(len(words) - width + 1)) else 0
