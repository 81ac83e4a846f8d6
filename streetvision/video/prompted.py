"""Marengo as a judge of segments: are their frames nearer to words for roadwork or to words for an ordinary street?

Zero-shot, as with SigLIP's prompts: cosines of embeddings. They are not calibrated, so an opinion has no certainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streetvision.models.prompts import SIDES, default_prompts
from streetvision.settings.video import VideoSettings
from streetvision.video.marengo import Vector
from streetvision.video.smoothing import Segment

EVERY_S = 2.0
"""Between the frames of a segment that are embedded."""
LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Sides:
    """Embedded prompts [N, D] for roadwork and against it, with their words."""

    words: Mapping[str, Sequence[str]]
    vectors: Mapping[str, NDArray[np.float32]]

    @property
    def size(self) -> int:
        """Numbers of an embedding."""
        return int(self.vectors[SIDES[0]].shape[1])


def prompts() -> dict[str, tuple[str, ...]]:
    """The package's own, in English, by side."""
    chosen = default_prompts()
    return {side: (chosen.roadwork if side == "for" else chosen.other)[LANGUAGE] for side in SIDES}


def prompts_dollars(settings: VideoSettings) -> float:
    """What embedding all prompts costs, once a run."""
    return sum(map(len, prompts().values())) * settings.search_price / 1000


def frames_to_embed(segments: Sequence[Segment], known: Sequence[float], far: Sequence[float]) -> list[float]:
    """Times of frames, so that each segment has an embedded one: those of `far`, else its surest frame.

    `known` are the times of embeddings, `far` those of frames without one nearby.
    """
    wanted = {time for time in far for one in segments if one.start <= time <= one.end}
    for one in segments:
        if not any(one.start <= time <= one.end for time in (*known, *wanted)):
            wanted.add(one.peak)
    return sorted(wanted)


def opinion(vectors: NDArray[np.float32], sides: Sides) -> dict[str, Any]:
    """Of a segment's embeddings [N, D]: the side whose best prompt lies nearest to their mean direction."""
    mean = vectors.mean(axis=0)
    direction: Vector = mean / max(float(np.linalg.norm(mean)), 1e-12)
    best = {side: _best(direction, sides.vectors[side], sides.words[side]) for side in SIDES}
    (near, cosine), (far, other) = sorted(best.values(), key=lambda one: -one[1])
    return {
        "roadwork": best["for"][1] > best["against"][1],
        "certainty": None,
        "objects": [],
        "reason": f"nearer to “{near}” ({cosine:.2f}) than to “{far}” ({other:.2f})",
    }


def _best(direction: Vector, vectors: NDArray[np.float32], words: Sequence[str]) -> tuple[str, float]:
    cosines = vectors @ direction / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    place = int(cosines.argmax())
    return words[place], float(cosines[place])
