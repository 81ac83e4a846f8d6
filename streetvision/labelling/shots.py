"""The labelled pictures that are shown with every question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from streetvision.engine.types import BadImage
from streetvision.errors import OperatorError
from streetvision.labelling.prompt import Prompt, Shot
from streetvision.labelling.views import make_views, read_checked
from streetvision.settings.oracle import OracleSettings
from streetvision.sources.dataset import Example
from streetvision.sources.opening import open_dataset
from streetvision.sources.source import HUMAN

SHOT_PIXELS = 512
"""Longest side of a picture that is shown: it is paid with every question."""


def make_prompt(settings: OracleSettings, state: Path) -> Prompt:
    """The question as the settings want it; raises OperatorError."""
    if not settings.is_configured:
        raise OperatorError("no oracle is configured: set --oracle.url and --oracle.model (docs/labelling.md)")
    shots = _shots(settings, state) if settings.examples else ()
    return Prompt(settings.model, settings.pixels, settings.answer_tokens, shots)


def _shots(settings: OracleSettings, state: Path) -> tuple[Shot, ...]:
    examples = open_dataset(settings.examples, state=state).examples()
    chosen = choose(examples, settings.shots)
    pixels = min(SHOT_PIXELS, settings.pixels)
    try:
        return tuple(_shot(one, pixels) for one in chosen)
    except BadImage as error:
        raise OperatorError(f"a picture of --oracle.examples cannot be shown: {error}; check the dataset") from error


def _shot(one: Example, pixels: int) -> Shot:
    return Shot(one.sha256, one.label, make_views(read_checked(one.path, one.sha256), [0], pixels)[0])


def choose(examples: Sequence[Example], count: int) -> list[Example]:
    """Half of each class, people's labels alone, one of a group, by digest: the same as long as the dataset is."""
    by_people = [one for one in examples if one.tags.get("labelled_by", HUMAN) == HUMAN]
    drawn = sorted(by_people, key=lambda one: hashlib.sha256(one.sha256.encode()).digest())
    chosen: list[Example] = []
    for label in (True, False):
        alone = {one.group: one for one in reversed(drawn) if one.label == label}
        chosen += list(reversed(alone.values()))[: count // 2]
    if len({one.label for one in chosen}) < 2:
        raise OperatorError("--oracle.examples needs pictures of both kinds, labelled by people: name another dataset")
    return [one for pair in zip(chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :], strict=False) for one in pair]
