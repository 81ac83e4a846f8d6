"""The project's own training, timed: its loader, augmentation, module and trainer by a recipe, from JPEGs on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save_file
from training_timed import WARM, Timed, Utilisation, wait
from training_windows import peak_gib

from streetvision.models.config import HeadConfig
from streetvision.models.folder import WEIGHTS_FILE
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.sources.dataset import Example
from streetvision.training.feeding import Ingredients, Place, make_feed
from streetvision.training.fit import make_trainer
from streetvision.training.module import TrainingModule
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import AugmentRecipe, OptimiserRecipe, Recipe, RunRecipe, TuneRecipe
from streetvision.training.run_folder import RunFolder
from streetvision.training.watching import LossWatch


class Stopwatch(L.Callback):
    """Ends the training `seconds` after the first steps."""

    def __init__(self, pictures_a_step: int, seconds: float, device: torch.device) -> None:
        self._pictures, self._seconds, self._device = pictures_a_step, seconds, device
        self._utilisation = Utilisation(device)
        self._losses: list[torch.Tensor] = []
        self._started = 0.0
        self.timed: Timed | None = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: object) -> None:  # noqa: ANN401
        """Count."""
        self._losses.append(outputs["loss"].detach())
        if trainer.global_step == WARM:
            wait(self._device)
            self._started = time.monotonic()
            self._utilisation.start()
        elif trainer.global_step > WARM and self.timed is None and self._is_over(trainer):
            self._stop(trainer)

    def _is_over(self, trainer: L.Trainer) -> bool:
        late = time.monotonic() - self._started >= self._seconds
        return trainer.strategy.reduce_boolean_decision(late, all=False) if trainer.global_step % 4 == 0 else False

    def _stop(self, trainer: L.Trainer) -> None:
        wait(self._device)
        seconds, busy = time.monotonic() - self._started, self._utilisation.stop()
        steps, losses = trainer.global_step - WARM, [float(loss) for loss in self._losses]
        self.timed = Timed(steps * self._pictures / seconds, busy, peak_gib(self._device), losses)
        trainer.should_stop = True


def recipe_for(method: str, batch: int, **run: Any) -> Recipe:  # noqa: ANN401  # RunRecipe's fields
    """A recipe with the settings that the rival has too."""
    optimiser = OptimiserRecipe(lr=1e-4, weight_decay=0.05, steps=10**6)
    return Recipe(
        tune=TuneRecipe(method=method, layer_decay=1.0),
        optimiser=optimiser,
        augment=AugmentRecipe(copies=1),
        run=RunRecipe(batch=batch, log="none", graphs=True, **run),
    )


def network(size: str, device: torch.device) -> StreetVisionNet:
    """A random DINOv3 `large` or, to try things out, `tiny`."""
    config = replace(tiny_config(depth=2, width=64), input_size=64)
    if size != "tiny":
        width = {"small": 384, "base": 768, "large": 1024}[size]
        architecture = f"vit_{size}_patch16_dinov3"
        config = replace(config, architecture=architecture, architecture_kwargs={}, input_size=224)
        config = replace(config, head=HeadConfig(embedding_dim=2 * width))
    torch.manual_seed(0)
    with device:
        return build(config)


def time_ours(recipe: Recipe, size: str, examples: Sequence[Example], seconds: float) -> Timed:
    """Train for that long."""
    place = Place.here("auto")
    stopwatch = Stopwatch(recipe.run.batch * place.world, seconds, place.device)
    train_ours(recipe, size, examples, stopwatch)
    if stopwatch.timed is None:
        raise SystemExit("the training ended before it was timed")
    return stopwatch.timed


def train_ours(recipe: Recipe, size: str, examples: Sequence[Example], watched: L.Callback) -> None:
    """Train until a callback ends it, which stands last among them."""
    place = Place.here("auto")
    net = network(size, place.device)
    pictures = Pictures(tuple(examples), tuple(examples[:2]), ("drawn",), "")
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "training" / "run")
        run.start.mkdir(parents=True)
        save_file({"drawn": torch.zeros(1)}, run.start / WEIGHTS_FILE)  # whose digest names what is kept for the head
        with closing(make_feed(Ingredients(recipe, pictures, net, run.start, place, print))) as feed:
            module = TrainingModule(net, recipe, total_steps=recipe.optimiser.steps, augment=feed.augment)
            if recipe.run.compile:
                for block in net.backbone.blocks:
                    block.compile(dynamic=False)
            watch = LossWatch(feed.examples, every=10)
            if place.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(place.device)
            make_trainer(recipe, place, run, recipe.optimiser.steps, [watch, watched]).fit(module, feed.train)
