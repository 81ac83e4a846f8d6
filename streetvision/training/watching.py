"""A loss that is no number ends the training before it spoils the weights that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import lightning as L
import torch

from streetvision.errors import OperatorError
from streetvision.sources.dataset import Example
from streetvision.training.arriving import Arriving
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


class _Asked(NamedTuple):
    seen: list[_Seen]
    losses: Arriving


class LossWatch(L.Callback):
    """Looks at every loss: at once on a CPU, up to twice `every` steps later on a GPU, which nobody waits for."""

    def __init__(self, examples: Sequence[Example], *, every: int) -> None:
        self._examples = examples
        self._every = every
        self._seen: list[_Seen] = []
        self._asked: _Asked | None = None

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Note the loss with its pictures, and look when enough of them are there."""
        indices = pl_module.indices if isinstance(pl_module, TrainingModule) else None
        self._seen.append(_Seen(trainer.fit_loop.epoch_loop.total_batch_idx + 1, loss.detach(), indices))
        if len(self._seen) >= self._every:
            self._look_at(self._ask())
            if not loss.is_cuda:
                self.look()

    def look(self) -> None:
        """Raise TrainingFailed when a loss since the last look was NaN or infinite; waits for the last one."""
        for _ in range(2):
            self._look_at(self._ask())

    def _ask(self) -> _Asked | None:
        """Ask for the losses that came since; those that were asked for before."""
        before, seen = self._asked, self._seen
        self._asked = _Asked(seen, Arriving(torch.stack([one.loss for one in seen]))) if seen else None
        self._seen = []
        return before

    def _look_at(self, asked: _Asked | None) -> None:
        if asked is None:
            return
        for one, value in zip(asked.seen, asked.losses.values(), strict=True):
            if not math.isfinite(value):
                raise TrainingFailed(f"the loss is {value} in batch {one.batch:,} ({self._pictures(one)}); {REMEDY}")

    def _pictures(self, seen: _Seen) -> str:
        indices = [] if seen.indices is None else seen.indices.tolist()
        names = [str(self._examples[index].path) for index in indices[:NAMED]]
        more = len(indices) - len(names)
        return f"pictures {', '.join(names)}" + (f" and {more:,} more" if more else "") if names else "no picture named"
