"""Procedural scenes as a source: drawings with a certain label, for trying things out and for more of what is rare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from streetvision.sources.source import Amount, Item, SourceError, SourcePicture
from streetvision.sources.works_tag import WORKS, works_text

if TYPE_CHECKING:
    from streetvision.scenes.scenes import Scene

LICENCE = "MIT"
TRAINING_SEEDS = 100_000_000
"""Scene number n has the seed TRAINING_SEEDS + n: challenges, golden pictures and calibration use the seeds below."""
SIZES = ((640, 480), (768, 432), (480, 640), (1024, 640))
_RANGE = re.compile(r"([0-9]{1,8})-([0-9]{1,8})")


class DrawnScenes:
    """The scenes `first` to `last`, both included; the same on every machine."""

    grows = False

    def __init__(self, span: str) -> None:
        found = _RANGE.fullmatch(span)
        if found is None or int(found[1]) > int(found[2]):
            raise SourceError(f"scenes:{span:.40} names no scenes: write the first and the last, such as scenes:0-999.")
        self.name = f"scenes:{span}"
        self._first, self._last = int(found[1]), int(found[2])

    def amount(self, after: str | None = None) -> Amount:
        """Scenes after the key."""
        return Amount(len(self._numbers(after)))

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        """By number."""
        for number in self._numbers(after):
            yield draw(number)

    def _numbers(self, after: str | None) -> range:
        return range(self._first if after is None else int(after) + 1, self._last + 1)


def draw(number: int) -> SourcePicture:
    """One scene as JPEG; its seed decides whether there are works, evenly."""
    from PIL import Image

    from streetvision.scenes.photographic import encode_jpeg
    from streetvision.scenes.scenes import render_scene

    rng = Random(f"{number}/dataset")
    scene = render_scene(TRAINING_SEEDS + number, size=rng.choice(SIZES))
    kind, light, weather = scene.conditions
    return SourcePicture(
        key=f"{number:08d}",
        data=encode_jpeg(Image.fromarray(scene.image), rng.randrange(80, 96)),
        label=scene.roadwork,
        group=f"scene/{number}",
        licence=LICENCE,
        labelled_by="scenes",
        tags={"street": kind, "light": light, "weather": weather} | _works(scene),
    )


def _works(scene: Scene) -> dict[str, str]:
    return {WORKS: works_text(one.box for one in scene.objects)} if scene.objects else {}
