"""A hospital whose store is a bucket of a real S3 server on loopback: publish, find, rehearse, check, withdraw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from heartify.errors import InputError


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A fresh bucket, which the environment leads to as an operator's would."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    settings = {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HEARTIFY_STORE_SIGNED_S3": "1",
    }
    try:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="heartify-cli")
        yield "s3://heartify-cli/stores/birch"
    finally:
        server.stop()


def test_version_in_a_bucket_is_published_found_rehearsed_and_withdrawn(
    run, market, bucket, patients, write_csv, dictionary, plan, tmp_path
):
    home = tmp_path / "birch"
    market.add_hospital("birch", home, bucket)

    published = run("hospital", "publish", write_csv(patients), "--dictionary", dictionary, "--json", home=home)
    version = published.document["version"]
    checked = run("hospital", "check-store", version, "--json", home=home)
    looked = run("lab", "dataset", version, "--json")
    rehearsed = run("lab", "dry-run", plan, "--dataset-version", version, "--json")
    withdrawn = run("hospital", "withdraw", version, "--remove-files", "--json", home=home)
    gone = run("lab", "dataset", version, "--json")

    assert [published.code, checked.code, looked.code, rehearsed.code, withdrawn.code] == [0, 0, 0, 0, 0]
    assert checked.document["files"] == len(published.document["columns"])
    assert rehearsed.document["verdict"] == "delivered"
    assert gone.code == InputError.exit_code
    left = boto3.client("s3").list_objects_v2(Bucket="heartify-cli").get("Contents", [])
    assert [entry["Key"].rpartition("/")[2] for entry in left] == ["destroyed.json"]
