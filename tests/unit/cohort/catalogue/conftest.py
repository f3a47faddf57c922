"""Shared: cohorts of nobody and of the Framingham teaching file, their surveys, and a steward's complete details."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.dictionary_toml import parse_dictionary_toml
from heartify.cohort.generated import generate_cohorts
from heartify.cohort.rows import TableRows
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.steward_dictionary import CatalogueDetails, Organisation
from heartify.cohort.survey import Survey, survey_rows
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, DataDictionary, Level

DATASET = "0x" + "11" * 32


def number(name: str, **more: object) -> Column:
    return Column(name=name, title=name, datatype="number", **({"role": "factor"} | more))


def integer(name: str, **more: object) -> Column:
    return Column(name=name, title=name, datatype="integer", **({"role": "factor"} | more))


def boolean(name: str, **more: object) -> Column:
    return Column(name=name, title=name, datatype="boolean", **({"role": "factor"} | more))


def category(name: str, *codes: str, **more: object) -> Column:
    levels = tuple(Level(code=code, label=f"level {code}") for code in codes)
    return Column(name=name, title=name, datatype="category", levels=levels, **({"role": "factor"} | more))


def dictionary_of(*columns: Column) -> DataDictionary:
    return DataDictionary(title="Test", description="Generated for a test", columns=columns)


def table_of(dictionary: DataDictionary, **values: object) -> pa.Table:
    """Build a table in table form; categories as level codes, None for missing."""
    arrays = []
    for field in table_schema(dictionary):
        column = dictionary.column(field.name)
        given = list(values[field.name])
        if pa.types.is_dictionary(field.type):
            codes = [None if code is None else column.level_codes.index(code) for code in given]
            array = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(column.level_codes))
        else:
            array = pa.array(given, field.type, from_pandas=True)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=table_schema(dictionary))


def survey_of(table: pa.Table, dictionary: DataDictionary) -> Survey:
    return survey_rows(TableRows(table, dictionary), random=np.random.default_rng(3))


@pytest.fixture(scope="session")
def demo_dictionary() -> DataDictionary:
    return parse_dictionary_toml(generate_cohorts(patients_per_hospital=1).dictionary_toml, file="demo.toml")


@pytest.fixture(scope="session")
def demo_survey(demo_dictionary: DataDictionary) -> Survey:
    """1,500 generated patients of one hospital."""
    text = generate_cohorts().csv_texts["aspen"]
    return survey_of(parse_csv(text.encode(), demo_dictionary, file="aspen.csv"), demo_dictionary)


@pytest.fixture(scope="session")
def framingham_dictionary() -> DataDictionary:
    flags = ("male", "currentSmoker", "BPMeds", "prevalentStroke", "prevalentHyp", "diabetes")
    gaps = {"missing_codes": ("", "NA")}
    columns = {
        "age": integer("age", unit="a", loinc="30525-0"),
        "education": category("education", "1", "2", "3", "4", **gaps),
        "cigsPerDay": integer("cigsPerDay", **gaps),
        "totChol": number("totChol", unit="mg/dL", loinc="2093-3", minimum=50, maximum=900, **gaps),
        "sysBP": number("sysBP", unit="mm[Hg]", loinc="8480-6", minimum=40, maximum=350),
        "diaBP": number("diaBP", unit="mm[Hg]", loinc="8462-4", minimum=10, maximum=250),
        "BMI": number("BMI", unit="kg/m2", loinc="39156-5", **gaps),
        "heartRate": number("heartRate", unit="/min", loinc="8867-4", **gaps),
        "glucose": number("glucose", unit="mg/dL", loinc="2339-0", **gaps),
        "TenYearCHD": boolean("TenYearCHD", role="outcome"),
    } | {flag: boolean(flag, **gaps) for flag in flags}
    header = (
        "male,age,education,currentSmoker,cigsPerDay,BPMeds,prevalentStroke,prevalentHyp,diabetes,totChol,sysBP,"
        "diaBP,BMI,heartRate,glucose,TenYearCHD"
    )
    return dictionary_of(*(columns[name] for name in header.split(",")))


@pytest.fixture(scope="session")
def framingham_survey(framingham_dictionary: DataDictionary) -> Survey:
    file = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "framingham_4240.csv"
    if not file.is_file():
        pytest.skip("third-party test data are not beside the project: ../shared/data is absent")
    return survey_of(parse_csv(file.read_bytes(), framingham_dictionary, file="framingham.csv"), framingham_dictionary)


@pytest.fixture(scope="session")
def details() -> CatalogueDetails:
    return CatalogueDetails(
        identifier="https://clinic.example/datasets/heart",
        publisher=Organisation(name='Clinic "Nord"', url="https://clinic.example", email="data@clinic.example"),
        contact=Organisation(name="Data office", email="data@clinic.example"),
        hdab=Organisation(name="Access body", url="https://hdab.example"),
        keywords=("heart", "prevention"),
        health_categories=("EHRS",),
        health_themes=("NONCOMMUNICABLE_DISEASES",),
        purpose="Care of outpatients",
        provenance="Taken from the clinic's records\nin one query",
        population_coverage="Outpatients of one town",
        legal_basis=("Art. 9(2)(j) GDPR",),
        spatial=("DE", "CH"),
        languages=("de-CH", "en"),
        temporal_start=dt.date(2010, 1, 1),
        temporal_end=dt.date(2020, 12, 31),
        licence="https://clinic.example/licence",
        conditions="https://clinic.example/access",
        documentation="https://clinic.example/about",
    )


@pytest.fixture
def build_table() -> Callable[..., pa.Table]:
    return table_of
