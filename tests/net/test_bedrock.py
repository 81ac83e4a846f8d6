"""Opening Bedrock and calling it once: what surely cost nothing is told apart, and nothing is asked twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason="needs the extra s3")

import boto3
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from streetvision.errors import ConfigError, OperatorError
from streetvision.net.bedrock import ATTEMPTS, BadAnswer, Bedrock, NotDone, open_bedrock, open_session

SETTING = "SOME_REGION"


@pytest.fixture
def client() -> Any:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("bedrock-runtime", region_name="us-east-1", **keys)


def never(seconds: float) -> None:
    pytest.fail(f"it waited for {seconds} s")


def said(data: bytes) -> dict[str, Any]:
    return {"body": StreamingBody(io.BytesIO(data), len(data)), "contentType": "application/json"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AccessDeniedException", "ask for the model"),
        ("ExpiredTokenException", "refuses the credentials"),
        ("ResourceNotFoundException", "knows no model m in this region: set SOME_REGION"),
        ("ServiceQuotaExceededException", "busy"),
    ],
)
def test_what_surely_cost_nothing_is_told_apart(code: str, told: str, client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("invoke_model", code)
        with pytest.raises(NotDone, match=told):
            Bedrock(client, SETTING, never).invoke("m", {})


def test_a_busy_service_is_waited_for_and_not_for_ever(client: Any) -> None:
    waits: list[float] = []
    with Stubber(client) as stub:
        stub.add_client_error("invoke_model", "ThrottlingException")
        stub.add_response("invoke_model", said(b'{"a": 1}'))
        assert Bedrock(client, SETTING, waits.append).invoke("m", {}) == {"a": 1}
        for _ in range(ATTEMPTS):
            stub.add_client_error("invoke_model", "ThrottlingException")
        with pytest.raises(NotDone, match="try again later"):
            Bedrock(client, SETTING, waits.append).invoke("m", {})
    assert waits == [2.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("data", [b"[]", b"no", b"[" * 100_000, json.dumps({"a": "b" * 99}).encode()])
def test_an_answer_that_is_none_or_too_long_is_this_calls_loss(data: bytes, client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_response("invoke_model", said(data))
        with pytest.raises(BadAnswer):
            Bedrock(client, SETTING).invoke("m", {}, largest=80)


@pytest.mark.parametrize(
    ("failure", "free"),
    [
        (EndpointConnectionError(endpoint_url="https://a"), True),
        (ConnectTimeoutError(endpoint_url="https://a"), True),
        (ReadTimeoutError(endpoint_url="https://a"), False),
    ],
)
def test_a_connection_that_never_was_cost_nothing_and_one_that_broke_may_have(
    failure: Exception, free: bool, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: Any) -> None:
        raise failure

    monkeypatch.setattr(client, "invoke_model", fails)
    with pytest.raises(OperatorError, match="network") as told:
        Bedrock(client, SETTING, never).invoke("m", {})
    assert isinstance(told.value, NotDone) is free


@pytest.mark.parametrize(("region", "endpoint"), [("no region/..", ""), ("us-east-1", "htp:/x")])
def test_a_region_or_an_address_that_cannot_be_one_is_told(
    region: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigError, match="correct the region, or AWS_ENDPOINT_URL"):
        open_bedrock(region, SETTING)


def test_credentials_and_region_are_looked_up_without_a_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="set SOME_REGION or AWS_REGION"):
        open_session("", SETTING)
    with pytest.raises(OperatorError, match="no AWS credentials"):
        open_session("us-east-1", SETTING)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert open_session("us-east-1", SETTING).region_name == "us-east-1"
    assert open_bedrock("us-east-1", SETTING).client.meta.region_name == "us-east-1"
