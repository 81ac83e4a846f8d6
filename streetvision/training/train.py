"""Trains the bundled network from scratch on made pictures within a time budget; a teacher may help."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from streetvision.models.config import ModelConfig
from streetvision.models.dinov3 import StreetVisionNet
from streetvision.training.batch import Batch
from streetvision.training.bundled_settings import TrainSettings, learning_rate
from streetvision.training.compositor import Compositor
from streetvision.training.learner import TrainingNet, fresh_copy, make_learner, make_optimizer
from streetvision.training.objective import patch_loss, picture_loss
from streetvision.training.optimisers import follow
from streetvision.training.photographs import load_photographs, photograph_files
from streetvision.training.pool import ScenePool
from streetvision.training.rendering import SceneWorkers
from streetvision.training.sources import Sources
from streetvision.training.sprite_bank import sprite_bank
from streetvision.training.teacher import Teacher, load_teacher, standardised

TRAINING_SEEDS = 1_000_000_000
"""Training renders seeds from here upward, scenes and sprites; calibration, tests and challenges stay below."""

Log = Callable[[str], None]
Run = tuple[TrainSettings, ModelConfig]


@dataclass(frozen=True)
class Material:
    """What lies outside the package: folders of photographs (see `photographs`) and a teacher's weights."""

    photos: tuple[Path, ...] = ()
    teacher: Path | None = None


@dataclass(frozen=True)
class TrainingResult:
    """The averaged network and how far training went."""

    net: StreetVisionNet
    steps: int
    samples: int
    rendered: int
    seconds: float
    teacher: Teacher | None = None


def loss_of(logits: torch.Tensor, patches: torch.Tensor, batch: Batch, settings: TrainSettings) -> torch.Tensor:
    """Cross-entropy of the picture, doubtful pictures left out, plus the patches' share."""
    if batch.patches is None:
        raise ValueError("the bundled training needs patch targets")
    whole = picture_loss(logits, batch.targets, batch.weights, settings.loss)
    return whole + settings.patch_loss * patch_loss(patches, batch.patches)


def train(
    config: ModelConfig,
    settings: TrainSettings,
    device: torch.device,
    log: Log = print,
    material: Material | None = None,
) -> TrainingResult:
    """Train a fresh network of that description; returns the moving average of its weights, float32 on `device`."""
    torch.manual_seed(settings.seed)
    given = material or Material()
    compositor = make_compositor(settings, given, device, log)
    teacher = load_teacher(given.teacher).to(device) if given.teacher is not None else None
    learner = make_learner(config, settings, device, teacher.width if teacher is not None else 0)
    pool = ScenePool(settings.capacity, settings.scene_size, device)
    with SceneWorkers(settings.workers, size=settings.scene_size, first_seed=TRAINING_SEEDS) as workers:
        sources = Sources(pool, workers, compositor, settings.sources)
        sources.wait(settings.first_scenes, log)
        return _Loop(learner, sources, teacher, (settings, config)).run(log)


def make_compositor(settings: TrainSettings, given: Material, device: torch.device, log: Log) -> Compositor | None:
    """Sprites and photographs on the device."""
    if settings.sprites == 0:
        return None
    started = time.monotonic()
    cutouts = [file for folder in given.photos for file in sorted((folder / "cutout").glob("*.png"))]
    bank = sprite_bank(settings.sprites, TRAINING_SEEDS, device, workers=settings.workers, cutouts=cutouts)
    streets = len(photograph_files(given.photos, "street"))
    log(f"{len(bank)} sprites, {streets} photographs of streets, {time.monotonic() - started:.1f} s")
    return Compositor(bank, load_photographs(given.photos, device), settings.sources.size)


class _Loop:
    """The training loop; time, not epochs, drives the schedule."""

    def __init__(self, learner: TrainingNet, sources: Sources, teacher: Teacher | None, run: Run) -> None:
        settings, config = run
        self.learner, self.sources, self.teacher, self.settings = learner, sources, teacher, settings
        self.size = learner.net.input_size
        self.device = sources.drawn.images.device
        self.average = fresh_copy(learner.net, config)
        self.optimizer = make_optimizer(learner, settings)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)

    def run(self, log: Log) -> TrainingResult:
        """Train until the budget is spent."""
        settings, step = self.settings, 0
        begun = time.monotonic()
        self.sources.fill(settings.sources.capacity // 6, self.generator)
        if self.teacher is not None:
            self._teach(self.teacher, log)
        for progress in (0.0, 1.0):
            self._step(progress)
        started = time.monotonic()
        log(f"ready after {started - begun:.1f} s, training for {settings.budget_s:.0f} s")
        while (elapsed := time.monotonic() - started) < settings.budget_s:
            if settings.max_steps is not None and step >= settings.max_steps:
                break
            loss, right = self._step(elapsed / settings.budget_s)
            follow(list(self.average.parameters()), list(self.learner.net.parameters()), settings.ema, step)
            step += 1
            if step % 100 == 0:
                rate = step * settings.batch / (time.monotonic() - started)
                log(
                    f"{elapsed:6.1f} s  step {step:6d}  loss {loss.item():.4f}  accuracy {right.item():.4f}  "
                    f"{rate:.0f} pictures/s  {self.sources.drawn.rendered} scenes"
                )
        seconds = time.monotonic() - started
        rendered = self.sources.drawn.rendered
        return TrainingResult(self.average, step, step * settings.batch, rendered, seconds, self.teacher)

    def _teach(self, teacher: Teacher, log: Log) -> None:
        """Let the teacher learn the task at a low rate, then freeze it."""
        settings, started, step = self.settings, time.monotonic(), 0
        optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-4, weight_decay=0.02)
        teacher.train()
        while (share := (time.monotonic() - started) / max(settings.teacher_s, 1e-9)) < 1.0:
            if settings.max_steps is not None and step >= settings.max_steps:
                break
            optimizer.param_groups[0]["lr"] = 3e-4 * min(1.0, 20 * share + 0.01) * (1.0 - share)
            batch = self.sources.batch(settings.batch // 3, self.size, self.generator)
            with torch.autocast(self.device.type, torch.bfloat16):
                logits, patches, _ = teacher(batch.pixels)
            loss = loss_of(logits, patches, batch, settings)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 100 == 0:
                log(f"teacher: step {step}  loss {loss.item():.4f}  accuracy {_right(logits, batch).item():.4f}")
        teacher.eval().requires_grad_(False)

    def _step(self, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, progress)
        coarse = self.settings.coarse_size
        size = coarse if coarse is not None and progress < self.settings.coarse_share else self.size
        batch = self.sources.batch(self.settings.batch, size, self.generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, patches, features = self.learner(batch.pixels)
        loss = loss_of(logits, patches, batch, self.settings)
        if self.teacher is not None and features is not None:
            loss = loss + self._distillation(self.teacher, batch.pixels, logits, features)
        self.learner.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach(), _right(logits, batch).detach()

    def _distillation(
        self, teacher: Teacher, pixels: torch.Tensor, logits: torch.Tensor, features: torch.Tensor
    ) -> torch.Tensor:
        some = self.settings.taught
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            answers, _, wanted = teacher(pixels[:some])
        alike = F.smooth_l1_loss(features[:some].float(), standardised(wanted))
        same = F.binary_cross_entropy_with_logits(logits[:some].float(), answers.float().sigmoid())
        return self.settings.feature_loss * alike + self.settings.answer_loss * same


def _right(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Weighted share of pictures on the right side of 0."""
    right = ((logits > 0) == (batch.targets > 0.5)) * batch.weights
    return right.sum() / batch.weights.sum().clamp(min=1.0)
