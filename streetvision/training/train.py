"""Trains the bundled network from scratch on procedural scenes within a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from streetvision.models.architectures.timm_dinov3 import PATCH
from streetvision.models.config import ModelConfig
from streetvision.models.dinov3 import StreetVisionNet, build
from streetvision.training.batch import Batch
from streetvision.training.pool import ScenePool
from streetvision.training.rendering import SceneWorkers

TRAINING_SEEDS = 1_000_000_000
"""Training renders seeds from here upward; calibration, tests and challenges stay below."""

Log = Callable[[str], None]
Run = tuple["TrainSettings", ModelConfig]


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults fit one H100 with 16 cores and a ten-minute job."""

    budget_s: float = 500.0
    """Wall time for training after the first scenes are there, in seconds."""
    batch: int = 384
    coarse_size: int | None = 160
    """Input size for the first part of training, when steps matter more than detail; None trains at full size."""
    coarse_share: float = 0.55
    """Share of the budget spent at that size."""
    capacity: int = 153_600
    """Scenes held on the device at once."""
    first_scenes: int = 12_288
    """Scenes to wait for before the first step."""
    scene_size: tuple[int, int] = (352, 264)
    workers: int = 14
    learning_rate: float = 3e-3
    warmup: float = 0.04
    """Share of the budget over which the learning rate rises."""
    weight_decay: float = 0.05
    muon: bool = True
    """Orthogonalised momentum for the blocks' matrices, AdamW for the rest; else AdamW throughout."""
    smoothing: float = 0.02
    patch_loss: float = 1.0
    """Weight of the auxiliary loss that asks every patch token whether an object is there."""
    ema: float = 0.999
    compile: bool = True
    """Compile the transformer's blocks, one at a time: they share one compilation."""
    seed: int = 0
    max_steps: int | None = None


@dataclass(frozen=True)
class TrainingResult:
    """The averaged network and how far training went."""

    net: StreetVisionNet
    steps: int
    samples: int
    rendered: int
    seconds: float


class TrainingNet(nn.Module):
    """The network with a probe on its patch tokens. The probe speeds learning up and is thrown away afterwards."""

    def __init__(self, net: StreetVisionNet, coarse: StreetVisionNet | None = None) -> None:
        super().__init__()
        self.net = net
        self.coarse = coarse
        self.probe = nn.Linear(net.backbone.num_features, 1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels float [N, 3, S, S] in [0, 255] -> raw logits [N] and patch logits [N, P]."""
        whole = self.coarse is None or pixels.shape[-1] == self.net.input_size
        net = self.net if whole or self.coarse is None else self.coarse
        mean, std = (value.view(1, 3, 1, 1) for value in (net.mean, net.std))
        tokens = net.tokens((pixels - mean) / std)
        logits, _ = net.head(tokens)
        return logits, self.probe(tokens[:, net.head.prefix :]).squeeze(-1)


def tied(net: StreetVisionNet, config: ModelConfig, size: int) -> StreetVisionNet:
    """The very same parameters behind another input size: only the patch grid and its RoPE table differ."""
    other = build(replace(config, input_size=size))
    mine = dict(net.named_modules())
    for name, module in other.named_modules():
        for parameter in list(module._parameters):
            module._parameters[parameter] = mine[name]._parameters[parameter]
    return other.to(next(net.parameters()).device)


def make_learner(config: ModelConfig, settings: TrainSettings, device: torch.device) -> TrainingNet:
    """A fresh network on the device with its coarse twin, blocks compiled where wanted."""
    net = build(config).to(device)
    coarse = None if settings.coarse_size is None else tied(net, config, settings.coarse_size)
    if settings.compile:
        for each in (net, coarse):
            for block in each.backbone.blocks if each is not None else ():
                block.compile(dynamic=False)
    return TrainingNet(net, coarse).to(device)


def loss_of(logits: torch.Tensor, patches: torch.Tensor, batch: Batch, settings: TrainSettings) -> torch.Tensor:
    """Cross-entropy of the picture, doubtful pictures left out, plus the patches' share."""
    smooth = batch.targets * (1 - settings.smoothing) + settings.smoothing / 2
    whole = F.binary_cross_entropy_with_logits(logits.float(), smooth, weight=batch.weights, reduction="sum")
    weight = torch.full((), 4.0, device=patches.device)
    if batch.patches is None:
        raise ValueError("the bundled training needs patch targets")
    local = F.binary_cross_entropy_with_logits(patches.float(), batch.patches, pos_weight=weight)
    return whole / batch.weights.sum().clamp(min=1.0) + settings.patch_loss * local


def learning_rate(settings: TrainSettings, progress: float) -> float:
    """Linear rise, then half a cosine down to a hundredth; `progress` runs from 0 to 1 over the budget."""
    if progress < settings.warmup:
        return settings.learning_rate * max(progress / settings.warmup, 0.01)
    turn = min(1.0, (progress - settings.warmup) / (1.0 - settings.warmup))
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * turn)))


def train(config: ModelConfig, settings: TrainSettings, device: torch.device, log: Log = print) -> TrainingResult:
    """Train a fresh network of that description; returns the moving average of its weights, float32 on `device`."""
    torch.manual_seed(settings.seed)
    learner = make_learner(config, settings, device)
    pool = ScenePool(settings.capacity, settings.scene_size, device)
    with SceneWorkers(settings.workers, size=settings.scene_size, first_seed=TRAINING_SEEDS) as workers:
        started = time.monotonic()
        while pool.filled < settings.first_scenes:
            workers.poll(pool.add, wait_s=5.0)
        waited = time.monotonic() - started
        log(f"{pool.filled} scenes in {waited:.1f} s ({pool.filled / waited:.0f}/s) at {settings.scene_size}")
        return _Loop(learner, pool, workers, (settings, config)).run(log)


class _Loop:
    """The training loop; time, not epochs, drives the schedule."""

    def __init__(self, learner: TrainingNet, pool: ScenePool, workers: SceneWorkers, run: Run) -> None:
        settings, config = run
        self.learner, self.pool, self.workers, self.settings = learner, pool, workers, settings
        self.size = learner.net.input_size
        self.device = pool.images.device
        self.average = _fresh_copy(learner.net, config)
        self.optimizers = _optimizers(learner, settings)
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)

    def run(self, log: Log) -> TrainingResult:
        """Train until the budget is spent."""
        settings, step = self.settings, 0
        begun = time.monotonic()
        for progress in (0.0, 1.0):
            self._step(progress)
        started = time.monotonic()
        log(f"compiled in {started - begun:.1f} s, training for {settings.budget_s:.0f} s")
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
        return TrainingResult(self.average, step, step * settings.batch, self.pool.rendered, seconds)

    def _step(self, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, progress)
        coarse = self.settings.coarse_size
        size = coarse if coarse is not None and progress < self.settings.coarse_share else self.size
        batch = self.pool.batch(self.settings.batch, size, PATCH, self.rng, self.generator)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, patches = self.learner(batch.pixels)
        loss = loss_of(logits, patches, batch, self.settings)
        self.learner.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        right = (((logits > 0) == (batch.targets > 0.5)) * batch.weights).sum() / batch.weights.sum().clamp(min=1.0)
        return loss.detach(), right.detach()

    def _update_average(self, step: int) -> None:
        keep = min(self.settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.learner.net.parameters(), strict=True)
            mine, theirs = zip(*pairs, strict=True)
            torch._foreach_lerp_(list(mine), list(theirs), 1.0 - keep)


def _fresh_copy(net: StreetVisionNet, config: ModelConfig) -> StreetVisionNet:
    """An uncompiled network with the same weights, for their moving average."""
    copy = build(config)
    copy.load_state_dict(net.state_dict())
    return copy.to(next(net.parameters()).device).requires_grad_(False).eval()


def _optimizers(learner: TrainingNet, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Matrices decay, vectors do not."""
    named = list(learner.named_parameters())
    matrices = [value for name, value in named if settings.muon and "blocks" in name and value.ndim == 2]
    taken = {id(value) for value in matrices}
    rest = [value for _, value in named if id(value) not in taken]
    groups = [
        {"params": [value for value in rest if value.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [value for value in rest if value.ndim <= 1], "weight_decay": 0.0},
    ]
    rate, fused = settings.learning_rate, next(learner.parameters()).is_cuda
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=fused)]
    if matrices:
        decay = settings.weight_decay
        optimizers.append(torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return optimizers


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
        coarse_size=64,
        compile=False,
        max_steps=4,
    )
