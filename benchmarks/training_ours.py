"""The project's own training, timed: its loader, augmentation, module and trainer by a recipe, from JPEGs on disk."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from harness import Row
from safetensors.torch import save_file
from training_host import HostSampler

from streetvision.models.config import HeadConfig
from streetvision.models.dinov3 import StreetVisionNet, build, tiny_config
from streetvision.models.folder import WEIGHTS_FILE
from streetvision.sources.dataset import Example
from streetvision.training.feeding import Ingredients, Place, make_feed
from streetvision.training.fit import make_trainer
from streetvision.training.module import TrainingModule
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import AugmentRecipe, OptimiserRecipe, Recipe, RunRecipe, TuneRecipe
from streetvision.training.run_folder import RunFolder
from streetvision.training.watching import LossWatch

WARM = 12
"""Steps before the clock starts: compiling, capturing."""
SAMPLE_S = 0.2


@dataclass(frozen=True)
class Timed:
    """How fast a training went."""

    images_per_s: float
    busy: float
    """Share of the time in which the GPU computed, by NVML's samples."""
    peak_gib: float
    losses: list[float] = field(default_factory=list)
    host: float = float("nan")
    """Share of the time that the host took to launch the steps."""
    places: list[Row] = field(default_factory=list)
    """Where the host was meanwhile; see `HostSampler`."""


class Utilisation:
    """Samples how busy a GPU is, in a thread, from `start` to `stop`."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._ended = device, threading.Event()
        self._samples: list[int] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> float:
        """Mean share of time, 0 to 1; NaN where there is no GPU."""
        self._ended.set()
        self._thread.join()
        return sum(self._samples) / (100 * len(self._samples)) if self._samples else float("nan")

    def _run(self) -> None:
        while self._device.type == "cuda" and not self._ended.wait(SAMPLE_S):
            self._samples.append(torch.cuda.utilization(self._device))


class Stopwatch(L.Callback):
    """Ends the training `seconds` after the first steps."""

    def __init__(self, pictures_a_step: int, seconds: float, device: torch.device) -> None:
        self._pictures, self._seconds, self._device = pictures_a_step, seconds, device
        self._utilisation, self._host = Utilisation(device), HostSampler()
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
            self._host.start()
        elif trainer.global_step > WARM and self.timed is None and self._is_over(trainer):
            self._stop(trainer)

    def _is_over(self, trainer: L.Trainer) -> bool:
        late = time.monotonic() - self._started >= self._seconds
        return trainer.strategy.reduce_boolean_decision(late, all=False) if trainer.global_step % 4 == 0 else False

    def _stop(self, trainer: L.Trainer) -> None:
        wait(self._device)
        seconds, busy = time.monotonic() - self._started, self._utilisation.stop()
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else 0
        steps = trainer.global_step - WARM
        losses, places = [float(loss) for loss in self._losses], self._host.stop(seconds / steps)
        self.timed = Timed(steps * self._pictures / seconds, busy, peak / 2**30, losses, places=places)
        trainer.should_stop = True


def wait(device: torch.device) -> None:
    """Until the GPU has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    net = network(size, place.device)
    pictures = Pictures(tuple(examples), tuple(examples[:2]), ("drawn",), "")
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "training" / "run")
        run.start.mkdir(parents=True)
        save_file({"drawn": torch.zeros(1)}, run.start / WEIGHTS_FILE)  # whose digest names what is kept for the head
        feed = make_feed(Ingredients(recipe, pictures, net, run.start, place, lambda _: None))
        module = TrainingModule(net, recipe, total_steps=recipe.optimiser.steps, augment=feed.augment)
        if recipe.run.compile:
            for block in net.backbone.blocks:
                block.compile(dynamic=False)
        stopwatch = Stopwatch(recipe.run.batch * place.world, seconds, place.device)
        watch = LossWatch(feed.examples, every=10)
        if place.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place.device)
        trainer = make_trainer(recipe, place, run, recipe.optimiser.steps, [watch, stopwatch])
        trainer.fit(module, feed.train)
    if stopwatch.timed is None:
        raise SystemExit("the training ended before it was timed")
    return stopwatch.timed
