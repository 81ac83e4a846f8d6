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
PROFILES = ("us", "eu", "apac", "global")
"""How ids of inference profiles begin, before the model's own."""
_BUSY = ("ThrottlingException", "ModelNotReadyException", "ServiceUnavailableException", "TooManyRequestsException")
_OVER_QUOTA = "ServiceQuotaExceededException"
_BAD_KEYS = ("UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "ExpiredToken")
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


class NotDone(OperatorError):
    """The service surely did nothing, and charges nothing; the next call would end alike."""


class BadAnswer(OperatorError):
    """A model answered, and not in the form that was asked for: this one call is lost, others may go well."""


@dataclass(frozen=True, slots=True)
class Bedrock:
    """A client of Bedrock's runtime, and how to wait."""

    client: Any
    """boto3's; it makes its classes as it runs."""
    setting: str
    """The variable that sets the region, for sentences."""
    sleep: Callable[[float], None] = time.sleep

    def invoke(self, model: str, body: Mapping[str, Any], largest: int = LARGEST_ANSWER) -> dict[str, Any]:
        """The answer as JSON of at most `largest` bytes.

        Raises NotDone; BadAnswer where it is no JSON object; OperatorError where the call may have been charged.
        """
        for attempt in range(ATTEMPTS):
            with bedrock_sentences(model, self.setting):
                try:
                    answer = self.client.invoke_model(
                        modelId=model,
                        body=json.dumps(body),
                        contentType="application/json",
                        accept="application/json",
                    )
                    return _parsed(model, answer["body"].read(largest + 1), largest)
                except self.client.exceptions.ClientError as error:
                    if _code(error) not in _BUSY or attempt == ATTEMPTS - 1:
                        raise
            self.sleep(FIRST_WAIT_S * 2**attempt)
        raise AssertionError  # the last attempt returns or raises


def open_bedrock(region: str, setting: str) -> Bedrock:
    """A client; OperatorError where boto3, a region or credentials are missing. Sends nothing."""
    return Bedrock(open_client(open_session(region, setting), "bedrock-runtime", read_s=READ_S), setting)


def open_session(region: str, setting: str) -> Any:  # noqa: ANN401 - boto3's
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
        raise ConfigError(f"no AWS region is known: set {setting} or AWS_REGION, in miner.env or the environment")
    if credentials is None:
        raise OperatorError(f"there are no AWS credentials: {_KEYS}")
    return session


def open_client(session: Any, service: str, *, connect_s: float = CONNECT_S, read_s: float = READ_S) -> Any:  # noqa: ANN401 - boto3's
    """A client of one of AWS's services that never repeats a call; ConfigError for a region that cannot be one."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(connect_timeout=connect_s, read_timeout=read_s, retries={"total_max_attempts": 1})
    try:
        return session.client(service, config=config)
    except (BotoCoreError, ValueError) as error:  # ValueError: of an endpoint that is no address
        raise ConfigError(f"Bedrock cannot be asked ({error}): correct the region, or AWS_ENDPOINT_URL") from error


@contextmanager
def bedrock_sentences(model: str, setting: str) -> Iterator[None]:
    """Turn what boto3 raises into one sentence: NotDone, or OperatorError where something may have been charged."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        ProxyConnectionError,
    )

    try:
        yield
    except ClientError as error:
        raise _refusal(model, setting, _code(error), str(error)) from error
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
        raise NotDone(f"Bedrock cannot be reached: check the network and {setting}.") from error
    except NoCredentialsError as error:
        raise NotDone(f"there are no AWS credentials: {_KEYS}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise OperatorError("Bedrock did not answer in time, or the connection broke: check the network.") from error
    except BotoCoreError as error:
        raise OperatorError(f"Bedrock cannot be asked: {error}.") from error


def _refusal(model: str, setting: str, code: str, words: str) -> OperatorError:
    if code == "AccessDeniedException":
        return NotDone(
            f"access to {model} is denied: allow bedrock:InvokeModel, and ask for the model in Bedrock's console."
        )
    if code in _BAD_KEYS:
        return NotDone(f"AWS refuses the credentials ({code}): {_KEYS}.")
    if code == "ResourceNotFoundException" or "model identifier is invalid" in words:
        return NotDone(f"Bedrock knows no model {model} in this region: set {setting}, or another model.")
    if code in (*_BUSY, _OVER_QUOTA):
        return NotDone(f"Bedrock is busy ({code}): try again later; what was answered is kept.")
    first = next(iter(words.splitlines()), code)
    return OperatorError(f"Bedrock refused a call of {model}: {first[:300]}")


def _code(error: Any) -> str:  # noqa: ANN401 - botocore's ClientError
    return str(error.response.get("Error", {}).get("Code", ""))


def _parsed(model: str, data: bytes, largest: int) -> dict[str, Any]:
    try:
        answer = json.loads(data) if len(data) <= largest else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer(f"{model} gave no JSON object.")
    return answer
