"""The two sources of the bundled training: drawn scenes from worker processes, composites from the device itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from streetvision.models.architectures.timm_dinov3 import PATCH
from streetvision.training.batch import Batch
from streetvision.training.camera_look import photograph
from streetvision.training.compositor import Compositor
from streetvision.training.jitter import jitter
from streetvision.training.pool import WHOLE, ScenePool
from streetvision.training.rendering import SceneWorkers

COMPOSITE_MIXTURE = {0: 0.3, 1: 0.15, 2: 0.08, 3: 0.12, WHOLE: 0.35}
"""Squares as often as whole pictures: validators' challenges and crops of frames are squares."""
DRAWN_AT_ONCE = 128
"""Drawn scenes without works among which one composition chooses."""


@dataclass(frozen=True)
class SourceSettings:
    """How much of each source there is."""

    composite_share: float = 0.55
    """Share of composites in a batch; the rest is drawn."""
    fresh: int = 256
    """Composites made at a time, over the oldest ones."""
    every: int = 3
    """Steps between."""
    positive: float = 0.6
    """Share of composites in which works are laid; some of them end up hidden or too small."""
    size: tuple[int, int] = (384, 288)
    """Width and height of a composite."""
    capacity: int = 24_576
    """Composites held on the device."""


class Sources:
    """Batches of both sources, each picture augmented anew."""

    def __init__(
        self, drawn: ScenePool, workers: SceneWorkers, compositor: Compositor | None, settings: SourceSettings
    ) -> None:
        device = drawn.images.device
        self.drawn, self.workers, self.compositor, self.settings = drawn, workers, compositor, settings
        self.batches = 0
        self.composites = (
            ScenePool(settings.capacity, compositor.size, device, look=camera, mixture=COMPOSITE_MIXTURE)
            if compositor is not None
            else None
        )

    def wait(self, scenes: int, log: Callable[[str], None]) -> None:
        """Until so many scenes are drawn."""
        started = time.monotonic()
        while self.drawn.filled < scenes:
            self.workers.poll(self.drawn.add, wait_s=5.0)
        waited = time.monotonic() - started
        log(f"{self.drawn.filled} scenes in {waited:.1f} s")

    def fill(self, count: int, generator: torch.Generator) -> None:
        """Make `count` composites; nothing where there is no compositor."""
        if self.compositor is None or self.composites is None:
            return
        for _ in range(0, count, self.settings.fresh):
            labels = (
                torch.rand(self.settings.fresh, generator=generator, device=generator.device) < self.settings.positive
            )
            scenes = self.drawn.without_works(DRAWN_AT_ONCE, generator)
            self.composites.add(self.compositor.compose(labels, generator, scenes))

    def batch(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """`count` pictures of both sources, fresh ones added first."""
        for _ in range(4):
            if not self.workers.poll(self.drawn.add):
                break
        if self.composites is None:
            return self.drawn.batch(count, size, PATCH, generator)
        if self.batches % self.settings.every == 0:
            self.fill(self.settings.fresh, generator)
        self.batches += 1
        laid = round(count * self.settings.composite_share)
        parts = (
            self.composites.batch(laid, size, PATCH, generator),
            self.drawn.batch(count - laid, size, PATCH, generator),
        )
        joined = {one.name: torch.cat([getattr(part, one.name) for part in parts]) for one in fields(Batch)}
        return Batch(**joined)


def camera(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Exposure and colour as for drawn scenes, then lens, sensor and file as for photographs."""
    return photograph(jitter(pixels, generator), generator)
