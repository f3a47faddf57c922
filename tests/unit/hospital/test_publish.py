"""Publishing: a cohort that is refused leaves nothing behind, in the store, the broker, the home or on the chain."""

from __future__ import annotations

import msgspec
import pytest

from heartify.chain.deployment import store_deployment
from heartify.errors import ChainError, HeartifyError, InputError, KeystoreError, UsageError
from heartify.hospital.hospital import Hospital
from heartify.hospital.publishing.open_source import CohortSource
from heartify.hospital.publishing.terms import Decisions


def rows(**replaced: str) -> str:
    lines = []
    for number in range(30):
        row = {
            "age": str(40 + number % 10),
            "systolic": str(110 + 2 * (number % 15)),
            "cvd": str(number % 2),
            **replaced,
        }
        lines.append(",".join(row.values()))
    return "age,systolic,cvd\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        pytest.param("", r"cohort\.csv", id="empty"),
        pytest.param("this is no CSV file at all", r"cohort\.csv", id="no-csv"),
        pytest.param("age,cvd\n50,1\n", "systolic", id="missing-column"),
        pytest.param("age,systolic,cvd,name\n50,120,1,x\n", "name", id="column-not-in-the-dictionary"),
        pytest.param("age,systolic,cvd\n50,120\n", "line 2", id="short-row"),
        pytest.param("age,systolic,cvd\nfifty,120,1\n", "column age", id="text-in-a-number"),
        pytest.param(rows(systolic="12.5"), "unit-[a-z]*:systolic", id="wrong-unit"),
        pytest.param(rows(age="95"), "age-over-89:age", id="finding-that-nobody-accepted"),
    ],
)
def test_refused_cohort_leaves_nothing_behind(case, nothing, csv, message):
    with pytest.raises(InputError, match=message):
        case.publish(csv=csv)
    assert case.left_behind() == nothing


def test_wrong_unit_in_the_dictionary_leaves_nothing_behind(case, nothing):
    with pytest.raises(InputError, match="mm"):
        case.publish(dictionary=case.dictionary_toml.replace("mm[Hg]", "mmHg"))
    assert case.left_behind() == nothing


def test_missing_files_leave_nothing_behind(case, nothing):
    with pytest.raises(InputError, match=r"none\.toml"):
        case.hospital.publish(CohortSource(str(case.folder / "none.csv"), case.folder / "none.toml"))
    assert case.left_behind() == nothing


def test_accepting_what_was_not_found_leaves_nothing_behind(case, nothing):
    with pytest.raises(InputError, match="were not found"):
        case.publish(decisions=Decisions(accepted_findings={"unit:age": "looked at every value"}))
    assert case.left_behind() == nothing


def test_message_about_a_wrong_value_never_repeats_it(case):
    with pytest.raises(InputError) as refused:
        case.publish(csv="age,systolic,cvd\nXK-4711,120,1\n")

    assert "4711" not in refused.value.message + str(refused.value.hint)


def test_wrong_password_leaves_nothing_behind(case, nothing):
    case.hospital = Hospital(case.home, b"another password")

    with pytest.raises(KeystoreError, match="does not open"):
        case.publish()
    assert case.left_behind() == nothing


def test_chain_that_is_down_leaves_nothing_behind(case, nothing):
    unreachable = msgspec.structs.replace(case.deployment(), rpc_url="http://127.0.0.1:9")
    store_deployment(case.home / "deployment.json", unreachable)

    with pytest.raises(ChainError, match="cannot be reached"):
        case.publish()
    assert case.left_behind() == nothing


def test_chain_that_refuses_leaves_the_key_with_the_broker_and_no_transaction(case):
    with pytest.raises(ChainError):
        case.publish()

    left = case.left_behind()
    ((version, _dataset, revoked),) = left["versions"]
    assert not revoked
    assert left["store"] == (version.removeprefix("0x"), "objects")
    stem = version.removeprefix("0x")
    assert [path.name for path in left["reports"]] == [f"{stem}.changes.json", f"{stem}.json"]
    assert left["transactions"] == []


def test_home_that_is_not_initialised_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        Hospital(tmp_path, b"a long password").publish(CohortSource(str(tmp_path / "x.csv"), tmp_path / "d.toml"))
    assert list(tmp_path.iterdir()) == []


# ---- init


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "two words"},
        {"name": ""},
        {"name": "x" * 64},
        {"broker_url": "ftp://127.0.0.1"},
        {"broker_url": "http://a b"},
        {"store_url": ""},
    ],
)
def test_malformed_setting_is_refused_before_any_key_is_made(tmp_path, wrong):
    settings = {"name": "aspen", "store_url": "./store", "broker_url": "http://127.0.0.1:8701", **wrong}

    with pytest.raises(InputError, match="settings are malformed"):
        Hospital.init(tmp_path / "home", b"a long password", deployment=tmp_path / "deployment.json", **settings)
    assert not (tmp_path / "home").exists()


def test_missing_deployment_is_refused_before_any_key_is_made(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        Hospital.init(
            tmp_path / "home",
            b"a long password",
            name="aspen",
            deployment=tmp_path / "none.json",
            store_url="./store",
            broker_url="http://127.0.0.1:8701",
        )
    assert not (tmp_path / "home").exists()


def test_home_is_never_initialised_twice(case):
    before = {path.name: path.read_bytes() for path in case.home.glob("*.json")}

    with pytest.raises(HeartifyError, match="home already"):
        Hospital.init(
            case.home,
            case.password,
            name="birch",
            deployment=case.home / "deployment.json",
            store_url="./store",
            broker_url="http://127.0.0.1:8701",
        )
    assert {path.name: path.read_bytes() for path in case.home.glob("*.json")} == before
