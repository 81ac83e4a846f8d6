"""One training step for every recipe, under Lightning: augment, forward, loss, and what a validation finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer

from streetvision.models.network import StreetVisionNet
from streetvision.training.augmenting import plain_batch, step_generator
from streetvision.training.batch import Batch, RawBatch
from streetvision.training.dividing import divide
from streetvision.training.graphs import GraphedForward
from streetvision.training.mixing import mixed
from streetvision.training.objective import patch_loss, picture_loss
from streetvision.training.optimisers import make_optimiser, make_schedule, names_of
from streetvision.training.recipe import Recipe
from streetvision.training.tuning import choose_weights, learning, parameter_groups

Augment = Callable[[RawBatch, torch.Generator], Batch]
Distillation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A further loss (a scalar) from pixels [N, 3, S, S] in [0, 255] and the network's tokens [N, T, D]."""


@dataclass(frozen=True)
class TokenBatch:
    """What a frozen backbone said of N pictures, in place of the pictures."""

    tokens: torch.Tensor
    """[N, T, D] as the head takes them."""
    targets: torch.Tensor
    """float32 [N]."""
    weights: torch.Tensor
    """float32 [N]."""
    indices: torch.Tensor
    """int64 [N]: which of the loader's examples each one is."""


@dataclass(frozen=True)
class Judged:
    """A network's raw answers to the pictures of a validation, on the CPU."""

    indices: torch.Tensor
    """int64 [N], each once, rising."""
    logits: torch.Tensor
    """float32 [N]: no temperature, no threshold."""
    labels: torch.Tensor
    """bool [N]."""


class TrainingModule(L.LightningModule):
    """A network that learns by a recipe from `RawBatch`, `Batch` or `TokenBatch`, one Lightning batch at a time.

    All that is drawn in a step follows from the seed and how many batches came before, so that a resumed run draws
    what it would have drawn. Checkpoints hold the weights that learn: the others are those that the run began with.
    """

    strict_loading = False

    def __init__(
        self,
        net: StreetVisionNet,
        recipe: Recipe,
        *,
        total_steps: int,
        augment: Augment | None = None,
        distillation: nn.Module | None = None,
    ) -> None:
        """`net` is changed in place: which weights learn, LoRA's layers.

        `augment` makes training pictures of loaded ones. `distillation` is a Distillation that may have weights of its
        own; like the probe on patches it is no part of the network.
        """
        super().__init__()
        torch.manual_seed(recipe.run.seed)
        choose_weights(net, recipe.tune)
        if recipe.run.checkpointing:
            net.backbone.set_grad_checkpointing(True)
        self.net = net
        self.recipe = recipe
        self.total_steps = total_steps
        self.augment = augment
        self.distillation = distillation
        needs_probe = recipe.loss.patches > 0.0 and not hasattr(net.head, "scores")
        self.probe = nn.Linear(net.backbone.num_features, 1) if needs_probe else None
        self.indices: torch.Tensor | None = None
        """Which examples the present batch holds; None where the batch does not say."""
        self.judged: Judged | None = None
        """Of the last validation."""
        self.replays = recipe.run.graphs and not recipe.run.checkpointing and recipe.run.strategy != "fsdp"
        """Whether a GPU replays the backbone's steps as CUDA graphs."""
        self._graphs: GraphedForward | None = None
        self._drawn = 0
        self._mixing = torch.Generator()
        self._answers: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def configure_model(self) -> None:
        """Divide the weights among the devices where the recipe says so; Lightning calls it when they are joined."""
        if self.device_mesh is not None:
            divide(self, self.device_mesh["data_parallel"])

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels float [N, 3, S, S] in [0, 255] -> tokens [N, T, D]; another network may answer for other sizes."""
        mean, std = (value.view(1, 3, 1, 1) for value in (self.net.mean, self.net.std))
        return self._backbone((pixels - mean) / std)

    def _backbone(self, pixels: torch.Tensor) -> torch.Tensor:
        """Tokens of normalised pixels; steps of one shape are replayed on a GPU."""
        weights = [value for value in self.net.backbone.parameters() if value.requires_grad]
        if not (self.replays and weights and pixels.is_cuda and self.training and torch.is_grad_enabled()):
            return self.net.tokens(pixels)
        if self._graphs is None:
            self._graphs = GraphedForward(self.net.tokens, weights, pixels)
        return self._graphs(pixels) if self._graphs.fits(pixels) else self.net.tokens(pixels)

    def stop_replaying(self) -> None:
        """Let go of the graphs and of the memory that they hold."""
        self.replays, self._graphs = False, None

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [N, T, D] -> raw logits [N], float32 under autocast too."""
        with torch.autocast(tokens.device.type, enabled=False):
            logits, _ = self.net.head(tokens.float())
        return torch.as_tensor(logits)

    def forward(self, batch: Batch | TokenBatch) -> torch.Tensor:
        """Raw logits [N]."""
        return self.logits(batch.tokens if isinstance(batch, TokenBatch) else self.tokens(batch.pixels))

    def training_step(self, batch: Batch | TokenBatch, batch_idx: int) -> torch.Tensor:
        """The loss of one batch, a scalar."""
        loss = self.loss_of(batch)
        self.log("loss", loss.detach(), prog_bar=False, on_step=True, on_epoch=False)
        return loss

    def loss_of(self, batch: Batch | TokenBatch) -> torch.Tensor:
        """All losses of one batch together; a scalar."""
        if isinstance(batch, TokenBatch):
            return picture_loss(self.logits(batch.tokens), batch.targets, batch.weights, self.recipe.loss)
        batch = mixed(batch, self.recipe.loss, self._mixing)
        tokens = self.tokens(batch.pixels)
        loss = picture_loss(self.logits(tokens), batch.targets, batch.weights, self.recipe.loss)
        if batch.patches is not None and self.recipe.loss.patches > 0.0:
            loss = loss + self.recipe.loss.patches * patch_loss(self._scores(tokens), batch.patches)
        if self.distillation is not None:
            loss = loss + self.distillation(batch.pixels, tokens)
        return loss

    def _scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the patches [N, P]: the head's own where it has them."""
        if self.probe is None:
            return torch.as_tensor(self.net.head.scores(tokens))
        return torch.as_tensor(self.probe(tokens[:, self.net.backbone.num_prefix_tokens :])).squeeze(-1)

    def validation_step(self, batch: Batch | TokenBatch, batch_idx: int) -> None:
        """Keep the answers until all are there."""
        indices = self.indices if self.indices is not None else torch.arange(len(batch.targets), device=self.device)
        self._answers.append((indices, self(batch).float(), batch.targets))

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self._answers = []

    def on_validation_epoch_end(self) -> None:
        """Bring the answers of all devices together; a picture that filled up a device's share counts once."""
        parts = (torch.cat([answer[part] for answer in self._answers]) for part in range(3))
        indices, logits, labels = (torch.as_tensor(self.all_gather(part)).flatten().cpu() for part in parts)
        unique, inverse = torch.unique(indices, return_inverse=True)
        first = torch.full((len(unique),), len(indices)).scatter_reduce(
            0, inverse, torch.arange(len(indices)), reduce="amin"
        )
        self.judged = Judged(unique, logits[first], labels[first] > 0.5)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401  # Lightning's own
        """Augment on the device what was loaded."""
        self.indices = getattr(batch, "indices", None)
        generator = self._draw_anew() if self.training else None
        if not isinstance(batch, RawBatch):
            return batch
        if generator is None:
            return plain_batch(batch, self.net.input_size)
        if self.augment is None:
            raise ValueError("loaded pictures need `augment`")
        return self.augment(batch, generator)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Lightning refuses frozen dataclasses."""
        if isinstance(batch, RawBatch):
            return batch.to(device)
        held = {one.name: getattr(batch, one.name) for one in fields(batch)}
        return replace(batch, **{name: None if value is None else value.to(device) for name, value in held.items()})

    def _draw_anew(self) -> torch.Generator:
        """Let the coming batch draw what its place in the run says; the device's generator for it."""
        rank = self.global_rank if self._trainer is not None else 0
        generator = step_generator(self.device, seed=self.recipe.run.seed, step=self._drawn, rank=rank)
        torch.manual_seed(generator.initial_seed())
        self._mixing.manual_seed(generator.initial_seed())
        self._drawn += 1
        return generator

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimiser and its schedule by step."""
        optimiser_recipe = self.recipe.optimiser
        depth = len(self.net.backbone.blocks)
        groups = parameter_groups(self.named_parameters(), depth, self.recipe.tune, optimiser_recipe)
        optimiser = make_optimiser(groups, names_of(self), optimiser_recipe)
        schedule = make_schedule(optimiser, optimiser_recipe, self.total_steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By norm; Lightning itself refuses to where the optimiser is fused, though bfloat16 scales no gradients."""
        if gradient_clip_val:
            weights = [value for group in optimizer.param_groups for value in group["params"]]
            nn.utils.clip_grad_norm_(weights, gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the weights that learn, and how far the drawing has come."""
        kept = learning(self)
        checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if name in kept}
        checkpoint["drawn"] = self._drawn

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Draw on from there."""
        self._drawn = checkpoint["drawn"]
