from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heartify.chain.deployment import Deployment, load_deployment, parse_deployment, store_deployment
from heartify.errors import DocumentError, InputError, UsageError
from heartify.protocol.eip712 import Domain


def document(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "format": "heartify.deployment/1",
        "chain_id": 31337,
        "rpc_url": "http://127.0.0.1:8545",
        "market": "0x" + "11" * 20,
        "registry": "0x" + "22" * 20,
        "token": "0x" + "33" * 20,
        "token_symbol": "UTT",
        "token_decimals": 6,
        "stake_bps": 1000,
        "block": 1,
        "embedded": True,
        "finality": "latest",
        "app_release": {"name": "Heartify", "version": "0.1.0"},
        "trust": {"allow_simulated": True},
    }
    return values | changes


def encoded(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


def test_what_is_stored_is_loaded_again(tmp_path: Path) -> None:
    deployment = parse_deployment(encoded())

    store_deployment(tmp_path / "new" / "deployment.json", deployment)

    assert load_deployment(tmp_path / "new" / "deployment.json") == deployment
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["deployment.json"]


def test_storing_replaces_the_whole_document_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    store_deployment(path, parse_deployment(encoded()))
    before = path.read_bytes()
    unencodable = msgspec.structs.replace(parse_deployment(encoded()), trust={"x": object()})

    with pytest.raises(TypeError):
        store_deployment(path, unencodable)

    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_usage_error_and_stays_clean(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").mkdir()

    with pytest.raises(UsageError, match="can't be written"):
        store_deployment(tmp_path / "deployment.json", parse_deployment(encoded()))

    assert [path.name for path in tmp_path.iterdir()] == ["deployment.json"]


def test_the_domain_is_that_of_chain_and_market() -> None:
    assert parse_deployment(encoded()).domain == Domain(31337, "0x" + "11" * 20)


@pytest.mark.parametrize("finality", ["latest", "finalized", 0, 12])
def test_every_finality_is_kept(finality: object) -> None:
    assert parse_deployment(encoded(finality=finality)).finality == finality


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "heartify.deployment/2"},
        {"market": "0x" + "11" * 19},
        {"market": "0x" + "AA" * 20},
        {"finality": "pending"},
        {"finality": -1},
        {"stake_bps": 10_001},
        {"chain_id": 0},
        {"unknown": 1},
    ],
)
def test_a_document_with_a_wrong_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="Deployment"):
        parse_deployment(encoded(**changes))


def test_a_missing_file_is_an_input_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read") as caught:
        load_deployment(tmp_path / "absent.json")

    assert "heartify deploy" in str(caught.value.hint)


def test_a_wrong_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    path.write_text("{}")

    with pytest.raises(DocumentError, match=r"deployment\.json"):
        load_deployment(path)


def test_a_deployment_has_no_default_for_what_parties_must_agree_on() -> None:
    required = {field.name for field in msgspec.structs.fields(Deployment) if field.required}

    assert required == set(document()) - {"format", "app_release", "trust"}
