"""Stability's image control on Amazon Bedrock: a picture of the same structure, by a prompt. Needs boto3."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from streetvision.errors import OperatorError
from streetvision.net.bedrock import (
    PROFILES,
    Bedrock,
    NotDone,
    bedrock_sentences,
    open_client,
    open_session,
)
from streetvision.synthesis.back_end import Declined, NotSent, Order
from streetvision.synthesis.back_ends.http import LARGEST_BYTES, unpacked
from streetvision.synthesis.kinds import KINDS, Kind

MODEL = "us.stability.stable-image-control-structure-v1:0"
STRENGTH = 0.8
"""How closely the parent's structure is kept, of 1."""
SETTING = "SYNTHETIC_REGION"


class ImageControl:
    """One model in one region; keys come from AWS's own settings, such as AWS_PROFILE."""

    kinds = frozenset(KINDS) - {"blur", "dirt", "works", "without", "look_alikes"}
    """What keeps a picture's structure neither adds works nor takes them away."""
    remote = True

    def __init__(self, bedrock: Bedrock, control: Any, model: str = MODEL) -> None:  # noqa: ANN401 - boto3 has no types
        """`control` is a client of the service `bedrock`, which does not retry."""
        self._bedrock, self._control, self._model = bedrock, control, model

    @property
    def name(self) -> str:
        """With the model's id."""
        return f"bedrock {self._model}"

    def sure(self, kind: Kind) -> bool:
        """Never: a generator may lose works."""
        return False

    def check(self) -> str:
        """Whether the keys are valid and the model is offered in the region; asks nothing that costs."""
        try:
            with bedrock_sentences(self._model, SETTING):
                if self._model.partition(".")[0] in PROFILES:
                    self._control.get_inference_profile(inferenceProfileIdentifier=self._model)
                else:
                    self._control.get_foundation_model(modelIdentifier=self._model)
        except OperatorError as error:
            raise NotSent(str(error)) from error
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
        try:
            return _picture(self._bedrock.invoke(self._model, body, LARGEST_BYTES))
        except NotDone as error:
            raise NotSent(str(error)) from error
        except OperatorError as error:
            raise Declined(str(error).rstrip(".")) from error

    def close(self) -> None:
        """Let the connections go."""
        self._bedrock.client.close()
        self._control.close()


def open_image_control(region: str, model: str) -> ImageControl:
    """With AWS's own settings; raises OperatorError."""
    session = open_session(region, SETTING)
    bedrock = Bedrock(open_client(session, "bedrock-runtime"), SETTING)
    return ImageControl(bedrock, open_client(session, "bedrock"), model or MODEL)


def _picture(answer: Mapping[str, Any]) -> bytes:
    reasons, images = answer.get("finish_reasons"), answer.get("images")
    why = reasons[0] if isinstance(reasons, list) and reasons else None
    if why is not None:
        raise Declined(f"it was filtered ({str(why)[:80]})")
    if not isinstance(images, list):
        raise Declined("the answer is not of the form that was asked for")
    return unpacked(images[0] if images else None)
