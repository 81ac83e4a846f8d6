"""A loss that is no number ends the training before it spoils the weights that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import lightning as L
import torch

from streetvision.errors import OperatorError
from streetvision.sources.dataset import Example
from streetvision.training.module import TrainingModule

NAMED = 3
"""Pictures of a bad batch that the sentence names."""
REMEDY = "the best weights until then are kept: lower optimiser.lr and train anew, or keep them with --finish"


class TrainingFailed(OperatorError):
    """Training cannot go on; what was best until then is kept."""


class _Seen(NamedTuple):
    batch: int
    loss: torch.Tensor
    indices: torch.Tensor | None


class LossWatch(L.Callback):
    """Looks at every loss: at once on a CPU, some steps later on a GPU, which is not made to wait for it."""

    def __init__(self, examples: Sequence[Example], *, every: int) -> None:
        self._examples = examples
        self._every = every
        self._seen: list[_Seen] = []

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Note the loss with its pictures, and look when enough of them are there."""
        indices = pl_module.indices if isinstance(pl_module, TrainingModule) else None
        self._seen.append(_Seen(trainer.fit_loop.epoch_loop.total_batch_idx + 1, loss.detach(), indices))
        if len(self._seen) >= self._every:
            self.look()

    def look(self) -> None:
        """Raise TrainingFailed when a loss since the last look was NaN or infinite."""
        seen, self._seen = self._seen, []
        if not seen:
            return
        values = torch.stack([one.loss for one in seen]).tolist()
        for one, value in zip(seen, values, strict=True):
            if not math.isfinite(value):
                raise TrainingFailed(f"the loss is {value} in batch {one.batch:,} ({self._pictures(one)}); {REMEDY}")

    def _pictures(self, seen: _Seen) -> str:
        indices = [] if seen.indices is None else seen.indices.tolist()
        names = [str(self._examples[index].path) for index in indices[:NAMED]]
        more = len(indices) - len(names)
        return f"pictures {', '.join(names)}" + (f" and {more:,} more" if more else "") if names else "no picture named"
