"""Exports to a bucket: the real client against an S3 server on this machine, and each way in which S3 says no."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from streetvision.cli.main import main
from streetvision.errors import OperatorError
from streetvision.prediction_log.destinations import open_destination
from streetvision.prediction_log.export import ExportOptions, export_log
from streetvision.prediction_log.reader import LogReader

from ..conftest import Logbook

NEEDED = [name for name in ("boto3", "moto", "flask") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.usefixtures("only_test_keys"),
    pytest.mark.skipif(
        bool(NEEDED) and os.environ.get("STREETVISION_REQUIRE_EXTRAS") != "1",
        reason=f"not installed: {', '.join(NEEDED)}",
    ),
]
BUCKET = "street-vision"
IMAGES = (b"\xff\xd8\xff one", b"\xff\xd8\xff two")


@pytest.fixture
def bucket(s3_client: Any) -> Any:
    """A client of the s3_server, which holds one empty bucket."""
    s3_client.create_bucket(Bucket=BUCKET)
    return s3_client


@pytest.fixture
def filled(logbook: Logbook) -> Logbook:
    logbook.write(*(logbook.record(image, logbook.answer(0.3 * n)) for n, image in enumerate(IMAGES, start=1)))
    return logbook


def names(client: Any) -> list[str]:
    return sorted(item["Key"] for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()))


def body(client: Any, name: str) -> bytes:
    data: bytes = client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
    return data


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["streetvision", "log", "export", *arguments])
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_the_command_fills_a_bucket(
    filled: Logbook, s3_server: str, bucket: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ("--state-dir", str(filled.state), "--json")
    target = f"s3://{BUCKET}/exports/today/"
    assert command(monkeypatch, target, "--images", "--format", "jsonl", "--endpoint-url", s3_server, *state) == 0
    manifest = json.loads(capsys.readouterr().out)
    digests = [hashlib.sha256(image).hexdigest() for image in IMAGES]
    files = [f"images/{digest[:2]}/{digest[2:4]}/{digest}.jpg" for digest in digests]
    assert names(bucket) == sorted(f"exports/today/{name}" for name in (*files, "manifest.json", "predictions.jsonl"))
    assert json.loads(body(bucket, "exports/today/manifest.json")) == manifest
    written = body(bucket, "exports/today/predictions.jsonl")
    assert hashlib.sha256(written).hexdigest() == manifest["table"]["sha256"]
    assert [json.loads(line)["image_file"] for line in written.splitlines()] == files
    for file, image in zip(files, IMAGES, strict=True):
        assert body(bucket, f"exports/today/{file}") == image


def test_the_endpoint_may_come_from_the_environment(
    filled: Logbook, s3_server: str, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert command(monkeypatch, f"s3://{BUCKET}", "--format", "jsonl", "--state-dir", str(filled.state)) == 0
    assert names(bucket) == ["manifest.json", "predictions.jsonl"]


def test_a_table_that_needs_several_parts_arrives_whole(s3_server: str, bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "large"
    data = os.urandom(1 << 16) * 144  # 9 MiB: above boto3's limit of 8 for a single request
    path.write_bytes(data)
    target = open_destination(f"s3://{BUCKET}/p", endpoint_url=s3_server)
    target.put_file("large", path)
    target.close()
    assert body(bucket, "p/large") == data
    assert bucket.head_object(Bucket=BUCKET, Key="p/large")["ETag"].endswith('-2"')


def test_what_is_there_is_not_sent_again(filled: Logbook, s3_server: str, bucket: Any) -> None:
    def export(**options: Any) -> Any:
        target = open_destination(f"s3://{BUCKET}/e", endpoint_url=s3_server)
        try:
            with LogReader(filled.folder) as reader:
                return export_log(reader, target, ExportOptions("jsonl", images=True, **options), now=0.0)
        finally:
            target.close()

    assert export()["images"]["copied_now"] == 2
    with pytest.raises(OperatorError, match=f"s3://{BUCKET}/e holds an export already"):
        export()
    bucket.delete_object(Bucket=BUCKET, Key="e/manifest.json")
    filled.write(filled.record(b"\xff\xd8\xff three", filled.answer(0.5)))
    manifest = export()
    assert (manifest["images"]["files"], manifest["images"]["copied_now"], manifest["rows"]) == (3, 1, 3)
    assert export(overwrite=True)["images"]["copied_now"] == 0


def test_no_such_bucket(s3_server: str, bucket: Any) -> None:
    with pytest.raises(OperatorError, match="there is no bucket elsewhere: create it or name another"):
        open_destination("s3://elsewhere/x", endpoint_url=s3_server)


def test_no_credentials(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(OperatorError, match="no usable credentials for s3://b/p: set AWS_ACCESS_KEY_ID"):
        open_destination("s3://b/p", endpoint_url=s3_server)


def test_an_unknown_profile(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(OperatorError, match=r"cannot use s3://b: The config profile .nobody. could not be found"):
        open_destination("s3://b", endpoint_url=s3_server)


def test_refused_credentials(s3_server: str, bucket: Any) -> None:
    def guard(free_actions: str) -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", free_actions.encode(), headers)
        urllib.request.urlopen(request).close()

    guard("0")
    try:
        with pytest.raises(
            OperatorError, match=r"credentials for s3://street-vision are refused \(InvalidAccessKeyId\)"
        ):
            open_destination(f"s3://{BUCKET}", endpoint_url=s3_server)
    finally:
        guard("inf")


def test_connection_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.prediction_log.s3.ATTEMPTS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(OperatorError, match=f"{endpoint} does not answer: check the network and the endpoint"):
            open_destination("s3://b/p", endpoint_url=endpoint)


@pytest.mark.parametrize(("endpoint", "says"), [("nonsense", "the endpoint nonsense is no address")])
def test_an_endpoint_that_is_none(endpoint: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        open_destination("s3://b/p", endpoint_url=endpoint)


def test_a_bucket_name_that_cannot_be(s3_server: str) -> None:
    with pytest.raises(OperatorError, match="cannot use s3://a b"):
        open_destination("s3://a b", endpoint_url=s3_server)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(OperatorError, match=r"needs boto3, which is not installed: pip install 'streetvision\[s3\]'"):
        open_destination("s3://b/p")
