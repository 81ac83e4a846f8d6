"""TwelveLabs' Pegasus as a second opinion on a clip: is there roadwork in it?

Body and stop reasons as Bedrock documents them: 1.5 gives `stopReason`, 1.2 `finishReason`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from streetvision.net.bedrock import BadAnswer, Bedrock

MOST_TOKENS = 512
MOST_CLIP = 25 * 10**6
"""Bytes of a clip as base64."""
LONGEST_REASON = 300
PROMPT = (
    "This is a short clip from a camera in a vehicle or on a street. Decide whether roadwork is in view at any time: "
    "work on the road or pavement itself, or what marks it off, such as traffic cones, barriers, roadwork signs, "
    "excavators, trenches, workers in high-visibility clothing. A building site away from the road, parked machines, "
    "ordinary traffic signs and painted lines are not roadwork. Give your certainty from 0 to 1, the objects that you "
    "saw, and the reason in one sentence."
)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "roadwork": {"type": "boolean"},
        "certainty": {"type": "number"},
        "objects": {"type": "array", "items": {"type": "string"}},
        "reason": {"type": "string"},
    },
    "required": ["roadwork", "certainty", "reason"],
}
_CUT = ("length", "max_tokens")


def ask(bedrock: Bedrock, model: str, clip: bytes) -> dict[str, Any]:
    """`roadwork`, `certainty` in [0, 1], `objects`, `reason` for an MP4; OperatorError, or BadAnswer for this clip."""
    encoded = base64.b64encode(clip).decode()
    if len(encoded) > MOST_CLIP:
        raise BadAnswer(f"the clip is larger than {MOST_CLIP // 10**6} MB.")
    body = {
        "inputPrompt": PROMPT,
        "mediaSource": {"base64String": encoded},
        "temperature": 0,
        "maxOutputTokens": MOST_TOKENS,
        "responseFormat": {"jsonSchema": SCHEMA},
    }
    return read_answer(model, bedrock.invoke(model, body))


def read_answer(model: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The opinion in an answer; BadAnswer where it is cut off or not in the form that was asked for."""
    stop = str(answer.get("stopReason") or answer.get("finishReason") or "")
    if stop.lower() in _CUT:
        raise BadAnswer(f"{model} did not come to an end within {MOST_TOKENS} tokens.")
    try:
        said = json.loads(answer.get("message") or "")
    except (TypeError, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("roadwork"), bool):
        raise BadAnswer(f"{model} did not say whether there is roadwork.")
    certainty, objects = said.get("certainty"), said.get("objects")
    sound = isinstance(certainty, int | float) and not isinstance(certainty, bool) and 0.0 <= certainty <= 1.0
    return {
        "roadwork": said["roadwork"],
        "certainty": float(certainty) if sound and certainty is not None else None,
        "objects": [str(one)[:60] for one in objects[:20]] if isinstance(objects, list) else [],
        "reason": str(said.get("reason") or "")[:LONGEST_REASON],
    }
