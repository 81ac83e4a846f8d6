"""Trains the bundled network from scratch on procedural scenes within a time budget."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from streetvision.models.config import PATCH, ModelConfig
from streetvision.models.dinov3 import StreetVisionNet, build
from streetvision.training.pool import Batch, ScenePool
from streetvision.training.rendering import SceneWorkers

TRAINING_SEEDS = 1_000_000_000
"""Training renders seeds from here upward; calibration, tests and challenges stay below."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults fill one H100 with 16 cores for six minutes."""

    budget_s: float = 360.0
    """Wall time for training after the first scenes are there, in seconds."""
    batch: int = 512
    capacity: int = 153_600
    """Scenes held on the device at once."""
    first_scenes: int = 12_288
    """Scenes to wait for before the first step."""
    scene_size: tuple[int, int] = (352, 264)
    workers: int = 15
    learning_rate: float = 1.5e-3
    warmup: float = 0.04
    """Share of the budget over which the learning rate rises."""
    weight_decay: float = 0.05
    drop_path: float = 0.05
    smoothing: float = 0.02
    patch_loss: float = 1.0
    """Weight of the auxiliary loss that asks every patch token whether an object is there."""
    ema: float = 0.999
    compile: bool = True
    seed: int = 0
    max_steps: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The averaged network and how far training went."""

    net: StreetVisionNet
    steps: int
    samples: int
    rendered: int
    seconds: float


class TrainingNet(nn.Module):
    """The network with a probe on its patch tokens. The probe speeds learning up and is thrown away afterwards."""

    def __init__(self, net: StreetVisionNet) -> None:
        super().__init__()
        self.net = net
        self.probe = nn.Linear(net.backbone.num_features, 1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels float [N, 3, S, S] in [0, 255] -> raw logits [N] and patch logits [N, P]."""
        mean, std = (value.view(1, 3, 1, 1) for value in (self.net.mean, self.net.std))
        tokens = self.net.tokens((pixels - mean) / std)
        logits, _ = self.net.head(tokens)
        return logits, self.probe(tokens[:, self.net.head.prefix :]).squeeze(-1)


def loss_of(logits: torch.Tensor, patches: torch.Tensor, batch: Batch, settings: TrainSettings) -> torch.Tensor:
    """Cross-entropy of the picture, doubtful pictures left out, plus the patches' share."""
    smooth = batch.targets * (1 - settings.smoothing) + settings.smoothing / 2
    whole = F.binary_cross_entropy_with_logits(logits.float(), smooth, weight=batch.weights, reduction="sum")
    weight = torch.full((), 4.0, device=patches.device)
    local = F.binary_cross_entropy_with_logits(patches.float(), batch.patches, pos_weight=weight)
    return whole / batch.weights.sum().clamp(min=1.0) + settings.patch_loss * local


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """Linear rise, then half a cosine down to a hundredth; `progress` runs from 0 to 1 over the budget."""
    if progress < settings.warmup:
        return settings.learning_rate * max(progress / settings.warmup, 0.01)
    turn = min(1.0, (progress - settings.warmup) / (1.0 - settings.warmup))
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * turn)))


def train(config: ModelConfig, settings: TrainSettings, device: torch.device, log: Log = print) -> Outcome:
    """Train a fresh network of that description; returns the moving average of its weights, float32 on `device`."""
    torch.manual_seed(settings.seed)
    learner = TrainingNet(build(config, drop_path_rate=settings.drop_path)).to(device)
    pool = ScenePool(settings.capacity, settings.scene_size, device)
    with SceneWorkers(settings.workers, size=settings.scene_size, first_seed=TRAINING_SEEDS) as workers:
        started = time.monotonic()
        while pool.filled < settings.first_scenes:
            workers.poll(pool.add, wait_s=5.0)
        waited = time.monotonic() - started
        log(f"{pool.filled} scenes in {waited:.1f} s ({pool.filled / waited:.0f}/s) at {settings.scene_size}")
        return _Loop(learner, pool, workers, settings).run(log)


class _Loop:
    """The training loop; time, not epochs, drives the schedule."""

    def __init__(self, learner: TrainingNet, pool: ScenePool, workers: SceneWorkers, settings: TrainSettings) -> None:
        self.learner, self.pool, self.workers, self.settings = learner, pool, workers, settings
        self.size = learner.net.input_size
        self.device = pool.images.device
        self.average = copy.deepcopy(learner.net).requires_grad_(False).eval()
        self.forward: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = (
            torch.compile(learner) if settings.compile else learner
        )
        self.optimizer = _optimizer(learner, settings)
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)

    def run(self, log: Log) -> Outcome:
        """Train until the budget is spent."""
        settings, step = self.settings, 0
        self._step(0.0)
        started = time.monotonic()
        log(f"first step done, training for {settings.budget_s:.0f} s")
        while (elapsed := time.monotonic() - started) < settings.budget_s:
            if settings.max_steps is not None and step >= settings.max_steps:
                break
            for _ in range(4):
                if not self.workers.poll(self.pool.add):
                    break
            loss, right = self._step(elapsed / settings.budget_s)
            self._update_average(step)
            step += 1
            if step % 100 == 0:
                rate = step * settings.batch / (time.monotonic() - started)
                log(
                    f"{elapsed:6.1f} s  step {step:6d}  loss {loss.item():.4f}  accuracy {right.item():.4f}  "
                    f"{rate:.0f} pictures/s  {self.pool.rendered} scenes"
                )
        seconds = time.monotonic() - started
        return Outcome(self.average, step, step * settings.batch, self.pool.rendered, seconds)

    def _step(self, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, progress)
        batch = self.pool.batch(self.settings.batch, self.size, PATCH, self.rng, self.generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, patches = self.forward(batch.pixels)
        loss = loss_of(logits, patches, batch, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        right = (((logits > 0) == (batch.targets > 0.5)) * batch.weights).sum() / batch.weights.sum().clamp(min=1.0)
        return loss.detach(), right.detach()

    def _update_average(self, step: int) -> None:
        keep = min(self.settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.learner.net.parameters(), strict=True)
            mine, theirs = zip(*pairs, strict=True)
            torch._foreach_lerp_(list(mine), list(theirs), 1.0 - keep)


def _optimizer(learner: TrainingNet, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    decayed = [value for value in learner.parameters() if value.ndim > 1]
    plain = [value for value in learner.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    fused = next(learner.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=fused)


def scaled_down(settings: TrainSettings) -> TrainSettings:
    """Settings that finish in seconds on a CPU, to see that everything runs."""
    return replace(
        settings,
        budget_s=5.0,
        batch=8,
        capacity=64,
        first_scenes=32,
        scene_size=(128, 96),
        workers=1,
        compile=False,
        max_steps=3,
    )
