"""The teacher learns the task before the bundled network does."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import nn

from streetvision.training.batch import Batch
from streetvision.training.bundled_loss import loss_of, share_right
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.optimisers import follow
from streetvision.training.ranks import ALONE, Ranks
from streetvision.training.teacher import Teacher

BACKBONE_RATE, HEAD_RATE = 2e-4, 1e-3
HEAD_ALONE = 0.08
"""Share of the time in which the head learns alone: features bend less towards a head that is no longer random.

Kumar et al., 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution".
"""
AVERAGE = 0.998


def tune(
    teacher: Teacher,
    draw: Callable[[], Batch],
    settings: TrainSettings,
    log: Callable[[str], None],
    *,
    ranks: Ranks = ALONE,
    clock: Callable[[], float] = time.monotonic,
) -> Teacher:
    """Teach it on drawn batches for `settings.teacher_s` seconds; returns the average of its weights, frozen.

    Each of several processes draws batches of its own.
    """
    ranks.share_weights(teacher)
    started, step = clock(), 0
    average = copy.deepcopy(teacher).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [{"params": list(teacher.backbone.parameters())}, {"params": list(teacher.head.parameters())}],
        weight_decay=0.02,
    )
    teacher.train()
    while (share := ranks.first_says((clock() - started) / max(settings.teacher_s, 1e-9))[0]) < 1.0:
        if settings.max_steps is not None and step >= settings.max_steps:
            break
        for group, rate in zip(optimizer.param_groups, _rates(share), strict=True):
            group["lr"] = rate
        batch = draw()
        loss, logits = _step(teacher, optimizer, batch, settings, ranks)
        follow(list(average.parameters()), list(teacher.parameters()), AVERAGE, step)
        step += 1
        if step % 100 == 0:
            log(f"teacher: step {step}  loss {loss.item():.4f}  accuracy {share_right(logits, batch).item():.4f}")
    return average


def _rates(share: float) -> tuple[float, float]:
    """Learning rates of backbone and head when that share of the time is over."""
    falling = 1.0 - share
    rise = min(1.0, max(0.0, share - HEAD_ALONE) / 0.05)
    return BACKBONE_RATE * rise * falling, HEAD_RATE * min(1.0, 40 * share + 0.01) * falling


def _step(
    teacher: Teacher, optimizer: torch.optim.Optimizer, batch: Batch, settings: TrainSettings, ranks: Ranks
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast(batch.pixels.device.type, torch.bfloat16):
        logits, patches, _ = teacher(batch.pixels)
    loss = loss_of(logits, patches, batch, settings)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    ranks.mean_gradients(teacher.parameters())
    nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
    optimizer.step()
    return loss.detach(), logits.detach()
