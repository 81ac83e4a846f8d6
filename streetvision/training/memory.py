"""How many pictures fit into a GPU, measured after too many did not."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import torch

from streetvision.errors import OperatorError
from streetvision.training.augmenting import GpuAugment
from streetvision.training.batch import RawBatch
from streetvision.training.loading import CANVAS_SCALE
from streetvision.training.module import TrainingModule

KEPT_FREE = 0.1
"""Share of the memory that is left alone: fragmentation and the optimiser's first step take some."""


def fitting_batch(peak_of: Callable[[int], int], free: int, wanted: int) -> int:
    """The largest batch below `wanted` that `free` bytes take, from the peaks in bytes of two small ones; 0: none.

    Activations grow by the same amount with each picture, so that a straight line through both tells.
    """
    few, more = 1, max(2, min(4, wanted - 1))
    first, second = peak_of(few), peak_of(more)
    each = max(1.0, (second - first) / (more - few))
    fixed = first - each * few
    return max(0, min(wanted - 1, int(((1.0 - KEPT_FREE) * free - fixed) / each)))


def out_of_memory(
    error: BaseException, module: TrainingModule, augment: GpuAugment, device: torch.device
) -> OperatorError:
    """What to raise after `error`, with the batch that would fit on `device`."""
    traceback.clear_frames(error.__traceback__)  # they hold the failed step's activations
    module.stop_replaying()
    module.zero_grad(set_to_none=True)
    module.to(device)  # Lightning takes it off the GPU when a training ends, however it ends
    torch.cuda.empty_cache()
    return OperatorError(_advice(module, augment, module.recipe.run.batch, device))


def _advice(module: TrainingModule, augment: GpuAugment, wanted: int, device: torch.device) -> str:
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)
    try:
        fits = fitting_batch(lambda count: _peak(module, augment, count, device), free, wanted)
    except torch.cuda.OutOfMemoryError:
        fits = 0
    said = f"the GPU has no memory for {wanted} pictures at a time: "
    if not fits:
        return said + "not even one fits, so set run.checkpointing = true, a smaller model.input_size or backbone"
    factor = -(-wanted // fits)
    return said + (
        f"{fits} would fit, so train anew with --set run.batch={fits} --set run.accumulate={factor}, or with "
        "--set run.checkpointing=true"
    )


def _peak(module: TrainingModule, augment: GpuAugment, count: int, device: torch.device) -> int:
    """Bytes that one step on so many pictures takes at its highest."""
    side = CANVAS_SCALE * module.net.input_size
    raw = RawBatch(
        torch.zeros(count, side, side, 3, dtype=torch.uint8, device=device),
        torch.full((count, 2), side, dtype=torch.int32, device=device),
        torch.zeros(count, device=device),
        torch.ones(count, device=device),
        torch.zeros(count, dtype=torch.int64, device=device),
    )
    torch.cuda.reset_peak_memory_stats(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=torch.cuda.is_bf16_supported()):
        batch = augment(raw, torch.Generator(device).manual_seed(0))
        torch.autograd.backward(module.loss_of(batch))
    module.zero_grad(set_to_none=True)
    return torch.cuda.max_memory_allocated(device)
