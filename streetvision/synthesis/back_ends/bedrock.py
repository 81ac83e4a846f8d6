"""Stability's image control on Amazon Bedrock: a picture of the same structure, by a prompt. Needs boto3."""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from typing import Any

from streetvision.errors import OperatorError, reason
from streetvision.synthesis.back_end import Declined, NotSent, Order
from streetvision.synthesis.back_ends.http import LARGEST_BYTES, unpacked
from streetvision.synthesis.kinds import KINDS, Kind

MODEL = "us.stability.stable-image-control-structure-v1:0"
STRENGTH = 0.8
"""How closely the parent's structure is kept, of 1."""
CONNECT_S, READ_S = 10, 180
PROFILES = ("us", "eu", "apac", "global")
"""How ids of inference profiles begin."""
_DENIED = frozenset({"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
_NO_MODEL = frozenset({"ResourceNotFoundException", "ValidationException"})
_LATER = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "ServiceUnavailableException"})
_KEYS = "set AWS_PROFILE or AWS's keys, and --synthetic.region"


class Bedrock:
    """One model in one region; keys come from AWS's own settings, such as AWS_PROFILE."""

    kinds = frozenset(KINDS) - {"blur", "dirt", "works", "without", "look_alikes"}
    """What keeps a picture's structure neither adds works nor takes them away."""
    remote = True

    def __init__(self, runtime: Any, control: Any, model: str = MODEL) -> None:  # noqa: ANN401 - boto3 has no types
        """`runtime` and `control` are clients of bedrock-runtime and bedrock, which do not retry."""
        self._runtime, self._control, self._model = runtime, control, model

    @property
    def name(self) -> str:
        """With the model's id."""
        return f"bedrock {self._model}"

    def sure(self, kind: Kind) -> bool:
        """Never: a generator may lose works."""
        return False

    def check(self) -> str:
        """Whether the keys are valid and the model is offered in the region; asks nothing that costs."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._model.partition(".")[0] in PROFILES:
                self._control.get_inference_profile(inferenceProfileIdentifier=self._model)
            else:
                self._control.get_foundation_model(modelIdentifier=self._model)
        except ClientError as error:
            raise NotSent(self._words(_code(error))) from None
        except BotoCoreError as error:
            raise NotSent(f"Bedrock cannot be asked ({reason(error)}): {_KEYS}") from None
        return f"{self._model} is offered in {self._control.meta.region_name}"

    def make(self, order: Order) -> bytes:
        """One picture of the parent's structure."""
        body = {
            "prompt": order.kind.prompt,
            "image": base64.b64encode(order.picture).decode(),
            "control_strength": STRENGTH,
            "output_format": "jpeg",
            "seed": order.seed,
        }
        return _picture(self._asked(json.dumps(body)))

    def _asked(self, body: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

        form = "application/json"
        try:
            answer = self._runtime.invoke_model(modelId=self._model, body=body, contentType=form, accept=form)
            return bytes(answer["body"].read(LARGEST_BYTES + 1))
        except ClientError as error:
            code = _code(error)
            if code in _DENIED | _NO_MODEL | _LATER:
                raise NotSent(self._words(code)) from None
            raise Declined(f"Bedrock answers {code or 'an error'}") from None
        except (EndpointConnectionError, NoCredentialsError) as error:
            raise NotSent(f"Bedrock cannot be asked ({reason(error)}): {_KEYS}") from None
        except BotoCoreError as error:
            raise Declined(f"the connection failed ({type(error).__name__})") from None

    def _words(self, code: str) -> str:
        if code in _DENIED:
            return (
                f"Bedrock refuses the keys or the model {self._model} ({code}): ask for access to it in AWS's console"
            )
        if code in _NO_MODEL:
            return f"Bedrock has no {self._model} here ({code}): correct --synthetic.model or --synthetic.region"
        return f"Bedrock answers {code}: go on later with the same command"

    def close(self) -> None:
        """Let the connections go."""
        self._runtime.close()
        self._control.close()


def open_bedrock(region: str, model: str) -> Bedrock:
    """With AWS's own settings; raises OperatorError."""
    if find_spec("boto3") is None:
        raise OperatorError("Bedrock needs boto3: pip install 'streetvision[s3]'")
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    once = Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
    try:
        runtime, control = (
            boto3.client(name, region_name=region or None, config=once) for name in ("bedrock-runtime", "bedrock")
        )
    except (BotoCoreError, ValueError) as error:  # ValueError: of an endpoint that is no address
        raise NotSent(f"Bedrock cannot be used ({reason(error)}): {_KEYS}") from None
    return Bedrock(runtime, control, model or MODEL)


def _code(error: Any) -> str:  # noqa: ANN401 - boto3 has no types
    return str(error.response.get("Error", {}).get("Code", ""))


def _picture(data: bytes) -> bytes:
    if len(data) > LARGEST_BYTES:
        raise Declined(f"the answer is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        answer = json.loads(data)
        why, images = (answer.get("finish_reasons") or [None])[0], answer["images"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Declined("the answer is not of the form that was asked for") from None
    if why is not None:
        raise Declined(f"it was filtered ({str(why)[:80]})")
    return unpacked(images[0] if isinstance(images, list) and images else None)
