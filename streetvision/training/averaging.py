"""A moving average of the weights that learn, kept beside them: it judges better than the weights themselves."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from streetvision.training.optimisers import follow
from streetvision.training.tuning import learning


class MovingAverage(L.Callback):
    """Averages after each step, stands in for the weights while they are judged and when training has ended.

    Lightning's own averages copy the frozen weights too, into memory and into every checkpoint, which LoRA and
    training a head cannot afford.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._average: dict[str, torch.Tensor] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with the weights as they are, unless a checkpoint brought an average."""
        weights = learning(pl_module)
        if self._average:
            self._average = {name: self._average[name].to(value.device) for name, value in weights.items()}
        else:
            self._average = {name: value.detach().clone() for name, value in weights.items()}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        """Follow the weights after each step of the optimiser."""
        if trainer.global_step <= self.steps:
            return
        self.steps = trainer.global_step
        follow(*self._pairs(pl_module), self.decay, self.steps)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the average be judged."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go on with the weights themselves."""
        self._swap(pl_module)

    def averaged(self) -> dict[str, torch.Tensor]:
        """The averaged weights by name."""
        return self._average

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"steps": self.steps, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.steps, self._average = state_dict["steps"], dict(state_dict["average"])

    def _pairs(self, module: L.LightningModule) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        weights = learning(module)
        return [self._average[name] for name in weights], list(weights.values())

    @torch.no_grad()
    def _swap(self, module: L.LightningModule) -> None:
        for mine, theirs in zip(*self._pairs(module), strict=True):
            kept = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(kept)
