"""The scenes in training, kept on the device; fresh ones replace the oldest, so that few are ever seen twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from streetvision.training import augment_torch, views
from streetvision.training.batch import Batch
from streetvision.training.camera_look import moody
from streetvision.training.compositor import Composites
from streetvision.training.distortions import distort
from streetvision.training.rendering import MAX_OBJECTS, OBJECT_FIELDS, Chunk
from streetvision.training.views import Dice

WHOLE = 9
"""In place of a level: the picture whole, squashed to a square, as pictures of native size are."""
MIXTURE: dict[int, float] = {0: 0.15, 1: 0.2, 2: 0.12, 3: 0.18, WHOLE: 0.35}
PLAIN = {0: 1.0}
"""In place of no levels, for no pictures or where all are whole."""
LEAST = 0.7
"""Smallest part of a whole picture's width or height that is shown."""
Look = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""How a camera varies pictures [N, 3, H, W] in [0, 255]."""
SHOWN_AREA = 0.002
"""After augmentation an object counts when half of it and this share of the picture remain."""


class ScenePool:
    """A ring of `capacity` scenes of one size (width, height) on a device."""

    def __init__(
        self,
        capacity: int,
        size: tuple[int, int],
        device: torch.device,
        *,
        look: Look = moody,
        mixture: Mapping[int, float] = MIXTURE,
    ) -> None:
        self.look, self.mixture = look, mixture
        self.images = torch.zeros((capacity, size[1], size[0], 3), dtype=torch.uint8, device=device)
        self.objects = torch.zeros((capacity, MAX_OBJECTS, OBJECT_FIELDS), device=device)
        self.size = torch.tensor([size], device=device)
        self.capacity = capacity
        self.rendered = 0

    @property
    def filled(self) -> int:
        """Scenes that can be drawn now."""
        return min(self.rendered, self.capacity)

    def add(self, chunk: Chunk | Composites) -> None:
        """Copy a chunk in, over the oldest scenes once the ring is full; its size must divide the capacity."""
        start = self.rendered % self.capacity
        stop = start + len(chunk.labels)
        self.images[start:stop].copy_(self._ready(chunk.images), non_blocking=True)
        self.objects[start:stop].copy_(self._ready(chunk.objects), non_blocking=True)
        self.rendered += len(chunk.labels)

    def _ready(self, values: torch.Tensor | NDArray[Any]) -> torch.Tensor:
        """As a tensor that can be copied while the host goes on: from other memory a copy waits for the device."""
        given = torch.as_tensor(values)
        return given.pin_memory() if self.images.is_cuda and not given.is_cuda else given

    def without_works(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """`count` scenes that show no works, uint8 [count, H, W, 3], drawn with repetition; any where all show some."""
        before = (self.objects[: self.filled, :, 4].sum(dim=1) == 0).cumsum(dim=0)
        draws = (torch.rand(count, generator=generator, device=before.device) * before[-1]).long()
        return self.images[torch.searchsorted(before, draws, right=True).clamp_(max=self.filled - 1)]

    def batch(self, count: int, size: int, patch: int, generator: torch.Generator) -> Batch:
        """Draw and augment `count` scenes to size x size; targets say what the augmented picture still shows."""
        chosen = torch.randint(self.filled, (count,), generator=generator, device=self.images.device)
        drawn = draw_views(self.size.expand(count, 2), self.mixture, Dice(generator))
        matrices = drawn.matrices
        pixels = self.look(augment_torch.warp(self.images[chosen], matrices, size), generator)
        names = views.occurring(_levels(self.mixture))
        pixels[drawn.rows] = distort(pixels[drawn.rows], drawn.severities, generator, names)
        shown, doubtful = in_view(self.objects[chosen], matrices)
        targets = shown.any(dim=1)
        weights = (targets | ~doubtful.any(dim=1)).float()
        patches = augment_torch.patch_targets(self.objects[chosen][..., :4], shown, matrices, size // patch)
        return Batch(pixels, targets.float(), weights, patches)


def in_view(objects: torch.Tensor, matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which objects [N, K, OBJECT_FIELDS] an augmented picture clearly shows and of which it shows a doubtful rest."""
    kept = augment_torch.kept_share(objects[..., :4], matrices)
    area = objects[..., 5] * kept * augment_torch.zoom(matrices)[:, None]
    shown = (kept >= 0.5) & (objects[..., 4] >= 0.4) & (area >= SHOWN_AREA)
    doubtful = (kept > 0.1) & (area > SHOWN_AREA / 4) & ~shown
    return shown, doubtful


class DrawnViews(NamedTuple):
    """How N pictures are shown, and which D of them are distorted: as many each time, so others are not touched."""

    matrices: torch.Tensor
    """Geometry [N, 2, 3], as `views` has it."""
    rows: torch.Tensor
    """The distorted ones, int64 [D]."""
    severities: torch.Tensor
    """Of these [D, 6]."""


def draw_views(sizes: torch.Tensor, mixture: Mapping[int, float], dice: Dice) -> DrawnViews:
    """Views of pictures of true `sizes` [N, 2].

    The validators' levels and whole pictures come by their shares; whole ones are cropped and stretched a little.
    """
    count = len(sizes)
    order = torch.randperm(count, generator=dice.generator, device=dice.device)
    harsh = {level: share for level, share in _levels(mixture).items() if views.occurring({level: 1.0})}
    mild = {level: share for level, share in mixture.items() if level not in harsh}
    some = round(count * sum(harsh.values()) / sum(mixture.values()))
    chosen, cuts = _cuts(sizes[order[:some]], harsh or PLAIN, dice)
    matrices = torch.empty(count, 2, 3, device=dice.device)
    matrices[order] = torch.cat([cuts, _cuts_and_wholes(sizes[order[some:]], mild, dice)])
    return DrawnViews(matrices, order[:some], views.draw_severities(chosen, harsh or PLAIN, dice))


def _cuts(sizes: torch.Tensor, levels: Mapping[int, float], dice: Dice) -> tuple[torch.Tensor, torch.Tensor]:
    """The validators' levels, as positions in `levels`, and matrices of their cuts."""
    chosen = views.draw_levels(len(sizes), levels, dice)
    return chosen, views.draw_cuts(sizes, views.is_plain(chosen, levels), dice).matrices()


def _cuts_and_wholes(sizes: torch.Tensor, mixture: Mapping[int, float], dice: Dice) -> torch.Tensor:
    """Matrices of undistorted cuts and of whole pictures."""
    wholes = views.reframed(views.whole(sizes, "squash"), LEAST, dice)
    whole = dice.chance(len(sizes), mixture.get(WHOLE, 0.0) / max(sum(mixture.values()), 1e-9))
    return torch.where(whole[:, None, None], wholes, _cuts(sizes, _levels(mixture) or PLAIN, dice)[1])


def _levels(mixture: Mapping[int, float]) -> dict[int, float]:
    return {level: share for level, share in mixture.items() if level != WHOLE}
