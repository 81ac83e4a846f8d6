"""One call of a model on Amazon Bedrock: never repeated where it may have been charged, its failures as sentences.

Needs the extra `s3` (boto3), which knows Bedrock too. A call is repeated only when the service says that it did nothing
(throttled, or the model not ready). boto3's own repetition is off: after a lost answer it would pay twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from streetvision.errors import ConfigError, OperatorError

CONNECT_S, READ_S = 10, 300
ATTEMPTS, FIRST_WAIT_S = 5, 2.0
LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that are read."""
_NOT_DONE = ("ThrottlingException", "ModelNotReadyException", "ServiceUnavailableException", "TooManyRequestsException")
_BAD_KEYS = ("UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "ExpiredToken")
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


class BadAnswer(OperatorError):
    """A model answered, and not in the form that was asked for: this one call is lost, others may go well."""


@dataclass(frozen=True, slots=True)
class Bedrock:
    """A client of Bedrock's runtime, and how to wait."""

    client: Any
    """boto3's; it makes its classes as it runs."""
    sleep: Callable[[float], None] = time.sleep

    def invoke(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as JSON; OperatorError with one sentence, BadAnswer where it is no JSON object."""
        for attempt in range(ATTEMPTS):
            with bedrock_sentences(model):
                try:
                    answer = self.client.invoke_model(
                        modelId=model,
                        body=json.dumps(body),
                        contentType="application/json",
                        accept="application/json",
                    )
                    return _parsed(model, answer["body"].read(LARGEST_ANSWER + 1))
                except self.client.exceptions.ClientError as error:
                    if _code(error) not in _NOT_DONE or attempt == ATTEMPTS - 1:
                        raise
            self.sleep(FIRST_WAIT_S * 2**attempt)
        raise AssertionError  # the last attempt returns or raises


def open_bedrock(region: str) -> Bedrock:
    """A client; OperatorError where boto3, a region or credentials are missing. Sends nothing."""
    session = open_session(region)
    from botocore.config import Config

    config = Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
    with bedrock_client_sentences():
        return Bedrock(session.client("bedrock-runtime", config=config))


def open_session(region: str) -> Any:  # noqa: ANN401 - boto3's
    """Credentials and region, looked up without a call to AWS; OperatorError with one sentence."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise OperatorError("Bedrock needs boto3, which is not installed: pip install 'streetvision[s3]'") from None
    try:
        session = boto3.session.Session(region_name=region or None)
        credentials = session.get_credentials()
    except BotoCoreError as error:
        raise OperatorError(f"the AWS profile cannot be used ({error}): {_KEYS}") from error
    if not session.region_name:
        raise ConfigError("no AWS region is known: set --video.region or AWS_REGION")
    if credentials is None:
        raise OperatorError(f"there are no AWS credentials: {_KEYS}")
    return session


@contextmanager
def bedrock_client_sentences() -> Iterator[None]:
    """Turn what boto3 raises over a region or an address that cannot be one into a sentence."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"Bedrock cannot be asked ({error}): correct the region, or AWS_ENDPOINT_URL") from error


@contextmanager
def bedrock_sentences(model: str) -> Iterator[None]:
    """Turn what boto3 raises into one sentence."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    try:
        yield
    except ClientError as error:
        raise OperatorError(_described(model, _code(error), str(error))) from error
    except (ConnectionError, HTTPClientError) as error:
        raise OperatorError("Bedrock does not answer: check the network and --video.region.") from error
    except BotoCoreError as error:
        raise OperatorError(f"Bedrock cannot be asked: {error}.") from error


def _described(model: str, code: str, words: str) -> str:
    if code == "AccessDeniedException":
        return f"access to {model} is denied: allow bedrock:InvokeModel, and ask for the model in Bedrock's console."
    if code in _BAD_KEYS:
        return f"AWS refuses the credentials ({code}): {_KEYS}."
    if code in ("ResourceNotFoundException",) or "model identifier is invalid" in words:
        return f"Bedrock knows no model {model} in this region: set --video.region, or another model."
    if code in _NOT_DONE:
        return f"Bedrock is busy ({code}): try again later; what was answered is kept."
    first = next(iter(words.splitlines()), code)
    return f"Bedrock refused a call of {model}: {first[:300]}"


def _code(error: Any) -> str:  # noqa: ANN401 - botocore's ClientError
    return str(error.response.get("Error", {}).get("Code", ""))


def _parsed(model: str, data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data) if len(data) <= LARGEST_ANSWER else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer(f"{model} gave no JSON object.")
    return answer
