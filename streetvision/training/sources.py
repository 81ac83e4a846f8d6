"""What the bundled training sees: drawn scenes from worker processes; composites, close-ups and photographs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch

from streetvision.models.architectures.timm_dinov3 import PATCH
from streetvision.training.batch import Batch
from streetvision.training.blending import blended
from streetvision.training.camera_look import moody, photograph
from streetvision.training.compositor import Compositor, Style, crops, shared_out
from streetvision.training.layouts import along_street, close_up
from streetvision.training.photographs import Photographs
from streetvision.training.pool import WHOLE, ScenePool
from streetvision.training.rendering import SceneWorkers
from streetvision.training.sprite_bank import CLOSE_SIDE, CLOSE_SIGNS

STREETS = Style(
    along_street,
    {"street": 0.4, "other": 0.1, "textured": 0.35, "drawn": 0.15},
    {0: 0.3, 1: 0.15, 2: 0.08, 3: 0.12, WHOLE: 0.35},
)
"""Shown as squares as often as whole: validators' challenges and crops of frames are squares."""
CLOSE_UPS = Style(
    close_up,
    {"street": 0.35, "other": 0.2, "sky": 0.18, "wall": 0.12, "textured": 0.1, "drawn": 0.05},
    {0: 0.2, 1: 0.12, 2: 0.06, 3: 0.1, WHOLE: 0.52},
    side=CLOSE_SIDE,
    signs=CLOSE_SIGNS,
    out_of_focus=True,
)
PHOTO_SHARES = {"street": 0.5, "other": 0.32, "wall": 0.1, "sky": 0.05, "ground": 0.03}
"""Of the photographs shown as they are, by kind; those that are not there leave theirs to the others."""
SMALLEST_CROP = 0.15
"""Of a photograph's area."""
DRAWN_AT_ONCE = 128
"""Drawn scenes without works among which one composition chooses."""


@dataclass(frozen=True)
class SourceSettings:
    """How much of each source there is."""

    street_share: float = 0.3
    """Share of composites of streets in a batch; drawn scenes are the rest."""
    close_share: float = 0.22
    """Share of close-ups."""
    photo_share: float = 0.18
    """Share of photographs as they are: nobody says that they are streets, so they have no label, only features."""
    blended_share: float = 0.16
    """Share of pictures that another one is laid over where there are photographs, half of those among them."""
    fresh: int = 256
    """Composites, and close-ups, made at a time, over the oldest ones."""
    every: int = 3
    """Steps between."""
    positive: float = 0.6
    """Share of composites in which works are laid; some of them end up hidden or too small."""
    close_positive: float = 0.5
    """The same of close-ups, where little is hidden."""
    size: tuple[int, int] = (384, 288)
    """Width and height of a composite."""
    capacity: int = 24_576
    """Composites, and close-ups, held on the device."""


@dataclass(frozen=True)
class CompositeSource:
    """One sort of composites: what makes them and where they are kept."""

    compositor: Compositor
    pool: ScenePool
    share: float
    """Of a batch."""
    positive: float
    """Share of them in which works are laid."""


class Sources:
    """Batches of all sources, each picture augmented anew."""

    def __init__(
        self,
        drawn: ScenePool,
        workers: SceneWorkers,
        compositors: Mapping[str, Compositor],
        photographs: Photographs | None,
        settings: SourceSettings,
    ) -> None:
        self.drawn, self.workers, self.photographs, self.settings = drawn, workers, photographs, settings
        self.batches = 0
        parts = (
            ("close", settings.close_share, settings.close_positive),
            ("street", settings.street_share, settings.positive),
        )
        self.composites = [
            CompositeSource(compositors[name], self._ring(compositors[name]), share, positive)
            for name, share, positive in parts
            if name in compositors
        ]

    def _ring(self, compositor: Compositor) -> ScenePool:
        capacity, device = self.settings.capacity, self.drawn.images.device
        return ScenePool(capacity, compositor.size, device, look=camera, mixture=compositor.style.mixture)

    def wait(self, scenes: int, log: Callable[[str], None]) -> None:
        """Until so many scenes are drawn."""
        started = time.monotonic()
        while self.drawn.filled < scenes:
            self.workers.poll(self.drawn.add, wait_s=5.0)
        waited = time.monotonic() - started
        log(f"{self.drawn.filled} scenes in {waited:.1f} s")

    def fill(self, count: int, generator: torch.Generator) -> None:
        """Make `count` composites and as many close-ups; nothing where there is nothing to make them of."""
        for _ in range(0, count, self.settings.fresh):
            for part in self.composites:
                draws = torch.rand(self.settings.fresh, generator=generator, device=generator.device)
                scenes = self.drawn.without_works(DRAWN_AT_ONCE, generator)
                part.pool.add(part.compositor.compose(draws < part.positive, generator, scenes))

    def batch(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """`count` pictures, fresh ones added first: photographs, close-ups, composites, drawn scenes in this order."""
        for _ in range(4):
            if not self.workers.poll(self.drawn.add):
                break
        if self.batches % self.settings.every == 0:
            self.fill(self.settings.fresh, generator)
        self.batches += 1
        parts = []
        if self.photographs is not None and (shown := round(count * self.settings.photo_share)):
            parts.append(plain(self.photographs, shown, size, generator))
        for part in self.composites:
            if some := round(count * part.share):
                parts.append(part.pool.batch(some, size, PATCH, generator))
        drawn = count - sum(len(part.pixels) for part in parts)
        parts.append(self.drawn.batch(drawn, size, PATCH, generator))
        whole = Batch(**{one.name: torch.cat([getattr(part, one.name) for part in parts]) for one in fields(Batch)})
        if self.photographs is None:
            return whole
        return blended(whole, round(count * self.settings.blended_share), generator)


def plain(photographs: Photographs, count: int, size: int, generator: torch.Generator) -> Batch:
    """Cuts of photographs of every kind as a camera sees them: no works on any patch, and no label."""
    there = {kind: share for kind, share in PHOTO_SHARES.items() if len(photographs.of(kind))}
    pieces = [
        crops(photographs.of(kind), rows.stop - rows.start, (size, size), generator, SMALLEST_CROP)[0]
        for kind, rows in shared_out(count, there)
    ]
    pixels = camera(torch.cat(pieces), generator)
    nothing = torch.zeros(count, device=pixels.device)
    return Batch(pixels, nothing, nothing, nothing[:, None].expand(count, (size // PATCH) ** 2))


def camera(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Exposure and colour as for drawn scenes, then lens, sensor and file as for photographs."""
    return photograph(moody(pixels, generator), generator)
