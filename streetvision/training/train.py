"""Trains the bundled network on made pictures and photographs within a time budget; teachers may help."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from streetvision.models.checkpoint import load_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.network import StreetVisionNet
from streetvision.training.batch import Batch
from streetvision.training.bundled_loss import loss_of, share_right
from streetvision.training.bundled_settings import TrainSettings, learning_rate
from streetvision.training.compositor import Compositor, Style
from streetvision.training.distillation import Distillation
from streetvision.training.learner import TrainingNet, fresh_copy, make_learner, make_optimizer
from streetvision.training.optimisers import follow
from streetvision.training.photographs import Photographs, cutouts_in, load_photographs, photograph_files
from streetvision.training.pool import ScenePool
from streetvision.training.ranks import ALONE, Ranks
from streetvision.training.rendering import SceneWorkers
from streetvision.training.sources import CLOSE_UPS, STREETS, Sources
from streetvision.training.sprite_bank import SpriteBank, sprite_bank
from streetvision.training.step_times import StepTimes
from streetvision.training.teacher import Teacher, load_imagenet, load_teacher, load_tuned, name_of
from streetvision.training.teaching import tune

TRAINING_SEEDS = 1_000_000_000
"""Training renders seeds from here upward, scenes and sprites; calibration, tests and challenges stay below."""

SEEDS_A_RANK = 100_000_000
"""Of scenes and sprites, so that no two processes make the same ones."""

Log = Callable[[str], None]
Run = tuple[TrainSettings, ModelConfig]


@dataclass(frozen=True)
class Material:
    """What lies outside the package: folders of photographs (see `photographs`), weights of teachers, a beginning."""

    photos: tuple[Path, ...] = ()
    teachers: tuple[Path, ...] = ()
    """ImageNet weights; the first ones are also kept as they are."""
    tuned: tuple[Path, ...] = ()
    """Teachers that have learnt the task already; those of `teachers` that are not among them learn it first."""
    start: Path | None = None
    """A checkpoint folder of the same architecture to go on from."""


@dataclass(frozen=True)
class TrainingResult:
    """The averaged network and how far training went."""

    net: StreetVisionNet
    steps: int
    samples: int
    rendered: int
    seconds: float
    teachers: tuple[Teacher, ...] = ()


Save = Callable[[TrainingResult], None]


def train(
    config: ModelConfig,
    settings: TrainSettings,
    device: torch.device,
    *,
    log: Log = print,
    material: Material | None = None,
    save: Save | None = None,
    ranks: Ranks = ALONE,
) -> TrainingResult:
    """Train a network of that description; returns the moving average of its weights, float32 on `device`.

    `save` is handed what there is every `settings.save_every_s`. Each of several processes (`ranks`) makes pictures of
    its own, so that a step sees `settings.batch` times as many.
    """
    begun = time.monotonic()
    torch.manual_seed(settings.seed)
    given = material or Material()
    start = load_checkpoint(given.start)[1] if given.start is not None else None
    learner = make_learner(config, settings, device, start)
    photographs = load_photographs(given.photos, device)
    first_seed = TRAINING_SEEDS + ranks.rank * SEEDS_A_RANK
    compositors = make_compositors(settings, given, photographs, log, first_seed)
    pool = ScenePool(settings.capacity, settings.scene_size, device)
    with SceneWorkers(settings.workers, size=settings.scene_size, first_seed=first_seed) as workers:
        shown = photographs if len(photographs.street) else None
        sources = Sources(pool, workers, compositors, shown, settings.sources)
        sources.wait(settings.first_scenes, log)
        loop = _Loop(learner, sources, (settings, config), begun + settings.budget_s, ranks)
        sources.fill(settings.sources.capacity // 6, loop.generator)
        if given.teachers:
            loop.learn_from(given, log)
        return loop.run(log, save)


def make_compositors(
    settings: TrainSettings, given: Material, photographs: Photographs, log: Log, seeds: int
) -> Mapping[str, Compositor]:
    """Makers of composites and close-ups by their names in `Sources`; none where no sprites are wanted.

    Sprites have the seeds from `seeds` on.
    """
    if settings.sprites == 0:
        return {}
    started, size = time.monotonic(), settings.sources.size
    device, workers, cutouts = photographs.street.device, settings.workers, cutouts_in(given.photos)

    def bank(style: Style, count: int, first_seed: int) -> SpriteBank:
        return sprite_bank(
            count, first_seed, device, workers=workers, cutouts=cutouts, side=style.side, signs=style.signs
        )

    far = bank(STREETS, settings.sprites, seeds)
    near = bank(CLOSE_UPS, settings.close_sprites, seeds + settings.sprites)
    streets = len(photograph_files(given.photos, "street"))
    log(f"{len(far)} and {len(near)} sprites, {streets} photographs of streets, {time.monotonic() - started:.1f} s")
    return {
        "street": Compositor(far, photographs, size, STREETS),
        "close": Compositor(near, photographs, size, CLOSE_UPS),
    }


class _Loop:
    """The training loop; time, not epochs, drives the schedule."""

    def __init__(self, learner: TrainingNet, sources: Sources, run: Run, deadline: float, ranks: Ranks) -> None:
        self.settings, config = run
        self.learner, self.sources, self.deadline, self.ranks = learner, sources, deadline, ranks
        self.size = learner.net.input_size
        self.device = sources.drawn.images.device
        self.average = fresh_copy(learner.net, config)
        self.distillation: Distillation | None = None
        self.generator = torch.Generator(self.device).manual_seed(self.settings.seed + SEEDS_A_RANK * ranks.rank)
        self.times = StepTimes(self.device)

    def learn_from(self, given: Material, log: Log) -> None:
        """Keep a teacher of the first weights as it is; others are tuned already, or learn the task now."""
        known = {name_of(file) for file in given.tuned}
        teachers = [load_tuned(file) for file in given.tuned]
        teachers += [self._tuned(file, log) for file in given.teachers if name_of(file) not in known]
        width, imagenet = self.learner.net.backbone.num_features, load_imagenet(given.teachers[0])
        self.distillation = Distillation(teachers, imagenet, width, self.settings).to(self.device)
        for module in (*teachers, imagenet) if self.settings.compile else ():
            module.compile(dynamic=False)

    def _tuned(self, weights: Path, log: Log) -> Teacher:
        settings = self.settings
        return tune(
            load_teacher(weights).to(self.device),
            lambda: self._batch(settings.batch // 3),
            settings,
            log,
            ranks=self.ranks,
        )

    def run(self, log: Log, save: Save | None) -> TrainingResult:
        """Train until the deadline."""
        settings, step = self.settings, 0
        self.weights = [*self.learner.parameters(), *(self.distillation.parameters() if self.distillation else ())]
        self.ranks.share_weights(self.learner)
        if self.distillation is not None:
            self.ranks.share_weights(self.distillation)
        self.optimizer = make_optimizer(self.learner, settings, self.distillation)
        for progress in (0.0, 1.0):
            self._step(progress)
        self.times.report(2)
        started = saved = time.monotonic()
        budget = self.deadline - started
        log(f"ready, training for {budget:.0f} s")
        while (progress := self.ranks.first_says((time.monotonic() - started) / budget)[0]) < 1.0:
            if settings.max_steps is not None and step >= settings.max_steps:
                break
            now = time.monotonic()
            loss, right = self._step(progress)
            follow(list(self.average.parameters()), list(self.learner.net.parameters()), settings.ema, step)
            step += 1
            self.times.end("average")
            if step % 100 == 0:
                log(
                    f"{now - started:6.1f} s  step {step:6d}  loss {loss.item():.4f}  accuracy {right.item():.4f}  "
                    f"{self._seen(step) / (now - started):.0f} pictures/s  {self.sources.drawn.rendered} scenes"
                )
                log(f"  ms a step: {self.times.report(100)}")
            if save is not None and now - saved > settings.save_every_s:
                saved = now
                save(self._result(step, started))
        return self._result(step, started)

    def _result(self, step: int, started: float) -> TrainingResult:
        teachers = self.distillation.teachers if self.distillation is not None else ()
        rendered, seconds = self.sources.drawn.rendered * self.ranks.count, time.monotonic() - started
        return TrainingResult(self.average, step, self._seen(step), rendered, seconds, teachers)

    def _seen(self, steps: int) -> int:
        """Pictures of all processes in so many steps."""
        return steps * self.settings.batch * self.ranks.count

    def _batch(self, count: int, size: int | None = None) -> Batch:
        return self.sources.batch(count, size or self.size, self.generator)

    def _step(self, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, progress)
        coarse = self.settings.coarse_size
        size = coarse if coarse is not None and progress < self.settings.coarse_share else self.size
        batch = self._batch(self.settings.batch, size)
        self.times.end("pictures")
        loss, logits = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.times.end("backward")
        self.ranks.mean_gradients(self.weights)
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        self.times.end("update")
        return loss.detach(), share_right(logits, batch).detach()

    def _loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of a batch, and the network's logits."""
        with torch.autocast(self.device.type, torch.bfloat16):
            said = self.learner(batch.pixels)
            self.times.end("network")
            taught = self.distillation(batch.pixels, said) if self.distillation is not None else 0.0
            self.times.end("teachers")
        return loss_of(said.logits, said.patches, batch, self.settings) + taught, said.logits
