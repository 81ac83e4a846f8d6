"""From what a model says to an answer. All of it is hostile: sizes are bounded, and what is odd is no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streetvision.base.log_text import one_line
from streetvision.sources.labels import USUAL

LONGEST_TEXT = 32_768
_MOST_TRIES = 20
"""Braces that may begin the object."""
MOST_OBJECTS, LONGEST_OBJECT, LONGEST_REMARK = 16, 40, 300

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "objects": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_OBJECTS},
        "reason": {"type": "string"},
        "roadwork": {"type": "boolean"},
        "certainty": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["objects", "reason", "roadwork", "certainty"],
    "additionalProperties": False,
}
"""JSON Schema of an answer. What is seen and why come first: a model that has said them decides better."""


class NoAnswer(Exception):
    """The text is no answer; the message is a clause that says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One judgement of one view of a picture."""

    roadwork: bool
    certainty: float
    """In [0, 1], as the model says it: not calibrated."""
    objects: tuple[str, ...] = ()
    remark: str = ""

    @property
    def probability(self) -> float:
        """P(roadwork), as the model says it."""
        return self.certainty if self.roadwork else 1.0 - self.certainty


def read_answer(text: str) -> Answer:
    """The answer in a text: the whole is JSON, or JSON stands somewhere in it. Raises NoAnswer."""
    if len(text) > LONGEST_TEXT:
        raise NoAnswer("the answer is too long")
    found = _object_in(text)
    roadwork = found.get("roadwork")
    label = roadwork if isinstance(roadwork, bool) else USUAL.read(roadwork)
    if label is None:
        raise NoAnswer("it does not say whether there is roadwork")
    return Answer(label, _certainty(found.get("certainty")), _objects(found.get("objects")), _remark(found))


def _object_in(text: str) -> dict[str, Any]:
    """The first JSON object: servers without structured answers wrap it in words or in a code block."""
    start = -1
    for _ in range(_MOST_TRIES):
        start = text.find("{", start + 1)
        if start < 0:
            break
        try:
            found, _end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        return dict(found)
    raise NoAnswer("it holds no JSON object")


def _certainty(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise NoAnswer("its certainty is not a number from 0 to 1")
    return float(value)


def _objects(value: object) -> tuple[str, ...]:
    named = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    return tuple(_clean(one, LONGEST_OBJECT) for one in named[:MOST_OBJECTS])


def _remark(found: Mapping[str, Any]) -> str:
    value = found.get("reason")
    return _clean(value, LONGEST_REMARK) if isinstance(value, str) else ""


def _clean(text: str, longest: int) -> str:
    """Fit for a terminal and a database: JSON may hold halves of characters, which no encoding has."""
    return one_line(text[:longest].encode(errors="replace").decode())[:longest]
